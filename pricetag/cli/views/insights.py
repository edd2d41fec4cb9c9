"""What the commands about several runs print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pricetag.cli.answering import Shown
from pricetag.cli.views.tables import ListTable
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.figures import (
    counted,
    interval_text,
    money_texts,
    not_available,
    number,
    with_unit,
)
from pricetag.tag.trials import summed_text

PARTS = {
    "model": "Best model",
    "tuning": "with its tuning",
    "research": "with all runs",
}
COSTS = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "cost": "Cost",
    "duration_s": "Time",
    "flops_dense": "Operations",
}
Stored = Mapping[str, Any]


def frontier_view(read: Stored) -> Iterator[Shown]:
    """The runs of the frontier, cheapest first."""
    if read["reason"] is not None:
        yield f"No frontier: {read['reason']}."
        return
    points = {point["run_id"]: point for point in read["points"]}
    rows = []
    for step in read["steps"]:
        point = points[step["run_id"]]
        price = figure_of(step["marginal_price"])
        rows.append(
            (
                point["name"],
                number(float(point["quality"])),
                _text(figure_of(point["cost"])),
                "" if price.value is None else _text(price),
            )
        )
    yield ListTable(("~Run", _score(read), "Cost", "Price of 1 more"), rows)
    yield f"{counted(len(read['points']), 'point')}, {read['without_quality']} without this score."
    yield f"Cost after the last improvement: {_text(figure_of(read['wasted_cost']))}."
    yield from _summed(read)


def curves_view(read: Stored) -> Iterator[Shown]:
    """The methods with their expected best scores, and which is better at which cost."""
    if not read["methods"]:
        yield "No ended runs."
        return
    yield ListTable(
        ("~Method", "Trials", "Cost of one", "Best of 1", "Best of all", "95% of searches"),
        [_method(method) for method in read["methods"]],
    )
    yield f"Score: {_score(read)}."
    for method in read["methods"]:
        if method["reason"] is not None:
            yield f"{method['name']}: no curve, {method['reason']}."
    yield from read["verdicts"]
    yield from _summed(read)


def _method(method: Stored) -> Sequence[str]:
    points = method["points"]
    trials = f"{method['trials']} of {method['trials'] + method['unscored']}"
    cost = _text(figure_of(method["mean_cost"]))
    if not points:
        return (method["name"], trials, cost, "", "", "")
    last = points[-1]
    spread = f"{number(float(last['low']))} to {number(float(last['high']))}"
    ends = (number(float(point["expected"])) for point in (points[0], last))
    return (method["name"], trials, cost, *ends, spread)


def cost_view(read: Stored) -> Iterator[Shown]:
    """The cost of the best model, of its tuning, and of all runs."""
    model = read["model"]
    if model is None:
        yield f"No best model: {read['reason']}."
        return
    yield f"{model['name']}: {_score(read)} {number(float(model['quality']))} ({model['method']})"
    heads = [f"{PARTS[part['name']]} ({counted(part['runs'], 'run')})" for part in read["parts"]]
    rows = [
        (label, *(_text(figure_of(part["costs"][name])) for part in read["parts"]))
        for name, label in COSTS.items()
    ]
    yield ListTable(("~Quantity", *heads), rows)
    factors = read["green_ai"]
    yield f"E, operations of one example: {_text(figure_of(factors['example']))}"
    yield f"D, training examples: {_text(figure_of(factors['data']))}"
    yield f"H, experiments with the method: {factors['experiments']}"
    for each in read["equivalents"] or ():
        times = figure_of(each["times"])
        text = not_available(times.reason) if times.value is None else f"{number(times.value)} x"
        yield f"{text} {each['name']} ({each['citation']})"
    yield from _summed(read)


def _summed(read: Stored) -> Iterator[str]:
    """That runs of trials were summed; nothing where none were."""
    if read["summed_trials"]:
        yield summed_text(read["summed_trials"], read["summed_runs"])


def _score(read: Stored) -> str:
    kind = read["kind"]
    if kind is None:
        return "score"
    return f"{kind['metric']} ({kind['split']})" if kind["split"] else str(kind["metric"])


def _text(figure: Figure) -> str:
    if figure.value is None:
        return not_available(figure.reason)
    if len(figure.unit) == 3 and figure.unit.isupper() and figure.unit.isalpha():
        value, spread = money_texts(figure)
    else:
        value, spread = with_unit(figure.value, figure.unit), interval_text(figure)
    return f"{value} ({spread})" if spread else value
