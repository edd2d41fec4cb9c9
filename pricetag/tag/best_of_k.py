"""Expected best score of k trials against their cost, per method, over price tags."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pricetag.accounting.quantity.quantity import weakest
from pricetag.accounting.work import expected_validation
from pricetag.accounting.work.expected_validation import MIN_TRIALS, Best, CurvePoint, Lead
from pricetag.tag.axes import Spending
from pricetag.tag.evaluated import Evaluated, ScoredRun
from pricetag.tag.figure import Figure
from pricetag.tag.figures import partly_counted, with_unit
from pricetag.tag.frontier import Point, points_of
from pricetag.tag.scores import LOWER_IS_BETTER


@dataclass(frozen=True, slots=True)
class Method:
    """The trials of one method.

    Attributes:
        name: The method.
        trials: Number of runs with the score.
        unscored: Number of its runs without one, e.g. failed ones; their cost counts.
        cost: Mean cost of a trial: of all its runs, divided by those with the score.
        best: Expected best score of 1 to `trials` trials; empty without a curve.
        reason: Why there is no curve; None if there is.
    """

    name: str
    trials: int
    unscored: int
    cost: Figure
    best: Sequence[Best]
    reason: str | None

    @property
    def curve(self) -> list[CurvePoint]:
        """The curve over its cost; empty if that is unknown."""
        mean = self.cost.value
        return [] if mean is None else [CurvePoint(b.k * mean, b.expected) for b in self.best]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Cost at which the better of two methods changes."""

    first: str
    second: str
    cost: float


def methods(
    runs: Mapping[str, Sequence[ScoredRun]],
    metric: Spending,
    kind: Evaluated | None,
    *,
    with_replacement: bool = False,
) -> list[Method]:
    """The curves of methods.

    Args:
        runs: The runs of each method.
        metric: The cost.
        kind: The score; runs that were scored on another task or other data do not count.
        with_replacement: Whether to use the biased estimator of Dodge et al.
    """
    points = points_of([run for each in runs.values() for run in each], metric, kind)
    in_order = iter(points)
    return [
        _method(name, [next(in_order) for _ in each], metric, kind, with_replacement)
        for name, each in runs.items()
    ]


def _method(
    name: str,
    points: Sequence[Point],
    metric: Spending,
    kind: Evaluated | None,
    with_replacement: bool,
) -> Method:
    counted = [point for point in points if point.is_counted]
    scores = [point.quality for point in counted if point.quality is not None]
    cost = _mean([point.spent for point in counted], len(scores))
    unscored = len(counted) - len(scores)
    if len(scores) < MIN_TRIALS:
        reason = f"needs {MIN_TRIALS} runs with this score, and has {len(scores)}"
        return Method(name, len(scores), unscored, cost, (), reason)
    best = expected_validation.best_of(
        scores,
        lower_is_better=kind is not None and kind.metric in LOWER_IS_BETTER,
        with_replacement=with_replacement,
    )
    return Method(
        name, len(scores), unscored, cost, best, cost.reason if cost.value is None else None
    )


def _mean(costs: Sequence[Figure], trials: int) -> Figure:
    """All costs divided by the number of trials, with the ends of all intervals."""
    units = {cost.unit for cost in costs if cost.value is not None}
    if not costs or not trials:
        return Figure.unknown("no run has this score")
    if len(units) > 1:
        return Figure.unknown(f"different units: {', '.join(sorted(units))}")
    value = low = high = 0.0
    for cost in costs:
        if cost.value is None:
            return Figure.unknown(str(cost.reason), cost.unit)
        value += cost.value
        low += cost.value if cost.low is None else cost.low
        high += cost.value if cost.high is None else cost.high
    sources = [cost.source for cost in costs if cost.source is not None]
    source = weakest(*sources) if sources else None  # type: ignore[arg-type]
    remark = partly_counted(costs)
    reason = remark and f"at least: {remark}"
    return Figure(value / trials, low / trials, high / trials, units.pop(), source, reason)


def crossings(curves: Sequence[Method]) -> list[Crossing]:
    """The costs at which the curves of two methods cross, within the range of both."""
    places = []
    drawn = [(method.name, method.curve) for method in curves if method.curve]
    for (first, first_curve), (second, second_curve) in itertools.combinations(drawn, 2):
        places += [
            Crossing(first, second, at)
            for at in expected_validation.crossings(first_curve, second_curve)
        ]
    return sorted(places, key=lambda crossing: crossing.cost)


def verdicts(curves: Sequence[Method], *, lower_is_better: bool) -> list[str]:
    """Which of two methods is better at which budget, a sentence for each pair with curves.

    For example ``a is better below 3.10 kWh, b above; both reach budgets from 1.00 kWh to
    9.00 kWh.`` Methods whose costs have different units are not compared.

    Args:
        curves: The methods.
        lower_is_better: Whether a smaller score is better.

    Source:
        Dodge et al. 2019, "Show Your Work", section 3: the better of two models depends on the
        budget.
    """
    drawn = [method for method in curves if method.curve]
    return [
        _verdict(first, second, lower_is_better)
        for first, second in itertools.combinations(drawn, 2)
        if first.cost.unit == second.cost.unit
    ]


def _verdict(first: Method, second: Method, lower_is_better: bool) -> str:
    unit = first.cost.unit
    ranges = expected_validation.leads(first.curve, second.curve)
    if not ranges:
        small, large = sorted((first, second), key=lambda method: method.curve[0].budget)
        return (
            f"{first.name} and {second.name} have no budget in common: {small.name} ends at "
            f"{with_unit(small.curve[-1].budget, unit)}, {large.name} starts at "
            f"{with_unit(large.curve[0].budget, unit)}."
        )
    names = {1: first.name, -1: second.name}
    if lower_is_better:
        names = {1: second.name, -1: first.name}
    reach = f"from {with_unit(ranges[0].low, unit)} to {with_unit(ranges[-1].high, unit)}"
    if not ranges[0].ahead:
        return f"{first.name} and {second.name} are equal at all budgets {reach}, which both reach."
    if len(ranges) == 1:
        name = names[ranges[0].ahead]
        other = second.name if name == first.name else first.name
        return f"{name} is better than {other} at all budgets {reach}, which both reach."
    return f"{_changes(ranges, names, unit)}; both reach budgets {reach}."


def _changes(ranges: Sequence[Lead], names: Mapping[int, str], unit: str) -> str:
    """``a is better below 3.10 kWh, b above``."""
    parts = [f"{names[ranges[0].ahead]} is better below {with_unit(ranges[0].high, unit)}"]
    parts += [
        f"{names[each.ahead]} from {with_unit(each.low, unit)} to {with_unit(each.high, unit)}"
        for each in ranges[1:-1]
    ]
    last = names[ranges[-1].ahead]
    above = f"above {with_unit(ranges[-1].low, unit)}" if len(ranges) > 2 else "above"
    return ", ".join([*parts, f"{last} {above}"])
