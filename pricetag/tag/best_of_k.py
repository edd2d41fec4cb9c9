"""Expected best score of k trials against their cost, per method, over price tags."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pricetag.accounting.quantity.quantity import weakest
from pricetag.accounting.work import expected_validation
from pricetag.accounting.work.expected_validation import MIN_TRIALS, Best, CurvePoint
from pricetag.tag.evaluated import Evaluated, ScoredRun
from pricetag.tag.figure import Figure
from pricetag.tag.frontier import Point, points_of
from pricetag.tag.matches import LOWER_IS_BETTER
from pricetag.tag.ratios import Metric


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
    metric: Metric,
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
    metric: Metric,
    kind: Evaluated | None,
    with_replacement: bool,
) -> Method:
    counted = [point for point in points if point.is_counted]
    scores = [point.quality for point in counted if point.quality is not None]
    cost = _mean([point.cost for point in counted], len(scores))
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
    return Figure(value / trials, low / trials, high / trials, units.pop(), source)


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
