"""What a search brought: cost of the result, best of k trials, frontier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.reports.cells import Notes, column_unit
from app.reports.shape import Section, Table, column, row, table
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import counted, not_available, number, with_unit
from pricetag.tag.scores import SCORES

Content = Mapping[str, Any]
SOME = 5
PARTS = {"model": "The best model alone", "tuning": "with its tuning", "research": "with all runs"}


def research_section(content: Content) -> Section | None:
    """The cost of the best model, of its tuning, of all runs; None without scores."""
    research = content["research"]
    if research is None:
        return None
    notes = Notes()
    energies = [figure_of(part["costs"]["it_energy_kwh"]) for part in research["parts"]]
    masses = [figure_of(part["costs"]["co2e_kg"]) for part in research["parts"]]
    operations = [figure_of(part["costs"]["flops_dense"]) for part in research["parts"]]
    kwh, kg = column_unit(energies, "kWh"), column_unit(masses, "kg")
    flop = column_unit(operations, "FLOP")
    rows = []
    for part, energy, mass, counted_flop in zip(
        research["parts"], energies, masses, operations, strict=True
    ):
        costs = {name: figure_of(figure) for name, figure in part["costs"].items()}
        rows.append(
            row(
                PARTS[part["name"]],
                str(part["runs"]),
                notes.figure(costs["duration_s"], 3600.0),
                notes.figure(energy, kwh[1]),
                notes.interval(energy, kwh[1]),
                notes.figure(mass, kg[1]),
                notes.price_range(costs["cost"]),
                notes.figure(counted_flop, flop[1]),
            )
        )
    columns = [
        column("Work", weight=1.8),
        column("Runs", "right", 0.6),
        column("Hours", "right", 0.9),
        column(f"IT energy ({kwh[0]})", "right"),
        column(f"95% interval ({kwh[0]})", "right", 1.5),
        column(f"CO2e ({kg[0]})", "right"),
        column("Cost", "right", 1.4),
        column(f"Operations ({flop[0]})", "right", 1.1),
    ]
    caption = "One model, its tuning, all runs"
    return {
        "id": "research",
        "heading": "Cost of the result",
        "paragraphs": [
            f"The best run is {research['name']} with {_score(content)} "
            f"{number(float(research['quality']))}. Its tuning consists of all runs with the same "
            f"stage kinds ({research['method']}). After table 4 of Strubell et al. 2019.",
            _green_ai(research["green_ai"]),
            *_equivalents(content),
        ],
        "tables": [table("research", caption, columns, rows, notes.lines())],
    }


def _green_ai(factors: Mapping[str, Any]) -> str:
    example, data = figure_of(factors["example"]), figure_of(factors["data"])
    parts = [
        f"E, operations on one example: {_known(example)}",
        f"D, training examples: {_known(data)}",
        f"H, experiments with the method: {factors['experiments']}",
    ]
    return (
        "The cost of a result grows with E x D x H (Schwartz et al. 2020, Green AI). "
        + "; ".join(parts)
        + "."
    )


def _known(figure: Any) -> str:
    if figure.value is None:
        return not_available(figure.reason)
    return with_unit(figure.value, figure.unit)


def _equivalents(content: Content) -> list[str]:
    """The emissions as multiples of well-known ones, if they were asked for."""
    lines = []
    for each in content["equivalents"] or ():
        times = figure_of(each["times"])
        if times.value is not None:
            lines.append(f"{number(times.value)} x {each['name']} [{each['citation']}]")
    return [f"The emissions of all runs are {'; '.join(lines)}."] if lines else []


def omitted_section(content: Content) -> Section | None:
    """Which of the sections about scores are not in the report, and why; None if all are."""
    research, curves, frontier = (
        section(content) for section in (research_section, curves_section, frontier_section)
    )
    if research and curves and frontier:
        return None
    if content["score"] is None:
        known = ", ".join(SCORES)
        reasons = [
            f"No run has a score that can be ranked ({known}). Without scores there is no best "
            "run with its cost, no expected best score, and no frontier. A script reports one with "
            "pricetag.log(accuracy=..., quality=True)."
        ]
    else:
        reasons = [
            f"Expected best of k trials: {method['name']} has no curve, {method['reason']}."
            for method in content["curves"]["methods"]
            if not curves
        ]
        if not frontier:
            reasons.append(f"Frontier: {content['frontier']['reason'] or 'no run has a cost'}.")
        if not research:
            reasons.append(f"Cost of the result: {content['frontier']['reason'] or 'no best run'}.")
    return {
        "id": "omitted",
        "heading": "What this report cannot state",
        "paragraphs": [*reasons, *([] if research else _equivalents(content))],
        "tables": [],
    }


def curves_section(content: Content) -> Section | None:
    """Expected best score of k trials of each method; None without any curve."""
    curves = content["curves"]
    drawn = [method for method in curves["methods"] if method["points"]]
    if not drawn:
        return None
    return {
        "id": "curves",
        "heading": "Expected best of k trials",
        "paragraphs": [
            f"Expected best {_score(content)} of k trials of a random search, without replacement "
            "(Tang et al. 2020), never beyond the trials that were made. The cost of a trial is "
            "that of all runs of its method, including failed ones, divided by the number of "
            "scored runs.",
            *curves["verdicts"],
            *(
                f"{method['name']}: no curve, {method['reason']}."
                for method in curves["methods"]
                if not method["points"]
            ),
        ],
        "tables": [_curves(content, drawn)],
    }


def _curves(content: Content, drawn: list[Mapping[str, Any]]) -> Table:
    notes = Notes()
    means = [figure_of(method["mean_costs"]["it_energy_kwh"]) for method in drawn]
    kwh = column_unit(means, "kWh")
    rows = []
    for method, mean in zip(drawn, means, strict=True):
        costs = {name: figure_of(figure) for name, figure in method["mean_costs"].items()}
        for k in dict.fromkeys((1, SOME, method["trials"])):
            point = method["points"][k - 1]
            rows.append(
                row(
                    method["name"],
                    str(k),
                    "" if mean.value is None else number(k * mean.value / kwh[1]),
                    ""
                    if costs["duration_s"].value is None
                    else number(k * costs["duration_s"].value / 3600.0),
                    number(float(point["expected"])),
                    number(float(point["variance"])),
                    f"{number(float(point['low']))} to {number(float(point['high']))}",
                )
            )
    columns = [
        column("Method", weight=2),
        column("k", "right", 0.5),
        column(f"IT energy ({kwh[0]})", "right"),
        column("Hours", "right", 0.8),
        column(f"Expected best {_score(content)}", "right", 1.4),
        column("Variance", "right"),
        column("95% of searches", "right", 1.4),
    ]
    caption = "Expected best score against cost"
    return table("curves", caption, columns, rows, notes.lines())


def frontier_section(content: Content) -> Section | None:
    """The runs that no other run beats; None without any."""
    frontier = content["frontier"]
    if not frontier["steps"]:
        return None
    notes = Notes()
    points = {point["run_id"]: point for point in frontier["points"]}
    costs = [figure_of(points[step["run_id"]]["cost"]) for step in frontier["steps"]]
    prices = [figure_of(step["price"]) for step in frontier["steps"]]
    kwh, price_unit = column_unit(costs, "kWh"), column_unit(prices, "kWh")
    rows = [
        row(
            points[step["run_id"]]["name"],
            number(float(points[step["run_id"]]["quality"])),
            notes.figure(cost, kwh[1]),
            notes.interval(cost, kwh[1]),
            "" if price.value is None else notes.figure(price, price_unit[1]),
            "" if price.value is None else notes.interval(price, price_unit[1]),
        )
        for step, cost, price in zip(frontier["steps"], costs, prices, strict=True)
    ]
    columns = [
        column("Run", weight=2),
        column(_score(content), "right"),
        column(f"IT energy ({kwh[0]})", "right"),
        column(f"95% interval ({kwh[0]})", "right", 1.5),
        column(f"Price of 1 more ({price_unit[0]})", "right", 1.2),
        column(f"95% interval ({price_unit[0]})", "right", 1.5),
    ]
    wasted = figure_of(frontier["wasted_cost"])
    return {
        "id": "frontier",
        "heading": "Frontier of quality and energy",
        "paragraphs": [
            f"{counted(len(frontier['steps']), 'run')} of {len(frontier['points'])} that no other "
            "run beats: less energy with at least the same score, or a better score. The marginal "
            "price is the energy for each further unit of the score. Runs after the last "
            f"improvement, in the order of posting, used {_known(wasted)}."
        ],
        "tables": [table("frontier", "Runs of the frontier", columns, rows, notes.lines())],
    }


def _score(content: Content) -> str:
    kind = content["score"]
    if kind is None:
        return "score"
    return f"{kind['metric']} ({kind['split']})" if kind["split"] else str(kind["metric"])
