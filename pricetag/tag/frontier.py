"""Quality against cost of several runs: points, frontier, and what brought no improvement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pricetag.accounting.work.frontier import Outcome, frontier, spent_in_vain
from pricetag.tag.figure import Figure
from pricetag.tag.matches import LOWER_IS_BETTER
from pricetag.tag.ratios import Metric, figure_of
from pricetag.tag.variants import SCORES
from pricetag.tag.view import TagView

Score = tuple[str, str | None]
"""Metric and split of a score."""

NO_SCORE = "the run has no such score"


@dataclass(frozen=True, slots=True)
class Point:
    """One run.

    Attributes:
        tag: Its price tag.
        cost: Its cost.
        quality: Its score; None without one.
        is_dominated: Whether another run beats it; None if its cost or score is unknown.
    """

    tag: TagView
    cost: Figure
    quality: float | None
    is_dominated: bool | None


@dataclass(frozen=True, slots=True)
class Frontier:
    """Several runs.

    Attributes:
        points: The runs, in the given order.
        steps: Those that nobody beats, from the cheapest to the best: run, price of a further
            unit of quality, and whether the cost differs by more than both intervals.
        wasted: Cost of the runs that ended after the last improvement; None if some are unknown.
    """

    points: Sequence[Point]
    steps: Sequence[tuple[TagView, float | None, bool | None]]
    wasted: float | None


def scores_of(tag: TagView) -> dict[Score, float]:
    """The last score of a run by metric and split: that of its last model."""
    return {
        (item.metric, item.split): item.value
        for item in tag.document.quality
        if item.metric in SCORES and item.value is not None
    }


def common_score(tags: Sequence[TagView]) -> Score | None:
    """The score that most runs have, the best known of them first; None if no run has one."""
    counts = Counter(score for tag in tags for score in scores_of(tag))
    ranked = sorted(counts, key=lambda s: (-counts[s], SCORES.index(s[0]), s[1] or ""))
    return ranked[0] if ranked else None


def frontier_of(tags: Sequence[TagView], metric: Metric, score: Score | None) -> Frontier:
    """The frontier of some runs.

    Args:
        tags: Price tags of the runs, in the order in which they ended.
        metric: The cost.
        score: The quality.
    """
    sign = -1.0 if score is not None and score[0] in LOWER_IS_BETTER else 1.0
    costs = [Figure.of(figure_of(tag, metric)) for tag in tags]
    scores: list[float | None] = [
        None if score is None else scores_of(tag).get(score) for tag in tags
    ]
    outcomes = [
        Outcome(number, cost.value, sign * quality, _or(cost.low, cost), _or(cost.high, cost))
        for number, (cost, quality) in enumerate(zip(costs, scores, strict=True))
        if cost.value is not None and quality is not None
    ]
    steps = frontier(outcomes)
    known, best = {each.key for each in outcomes}, {step.key for step in steps}
    points = [
        Point(tag, cost, quality, number not in best if number in known else None)
        for number, (tag, cost, quality) in enumerate(zip(tags, costs, scores, strict=True))
    ]
    return Frontier(
        points=points,
        steps=[(tags[step.key], step.price, step.is_costlier) for step in steps],
        wasted=_wasted(points, sign),
    )


def _or(end: float | None, cost: Figure) -> float:
    if end is not None:
        return end
    return 0.0 if cost.value is None else cost.value


def _wasted(points: Sequence[Point], sign: float) -> float | None:
    costs = [point.cost.value for point in points]
    if not points or any(cost is None for cost in costs):
        return None
    return spent_in_vain(
        [
            (cost, None if point.quality is None else sign * point.quality)
            for cost, point in zip(costs, points, strict=True)
            if cost is not None
        ]
    )


def variant_rows(tag: TagView) -> Mapping[str, Any] | None:
    """The ledger of a run's compression; None if it measured fewer than two variants."""
    from pricetag.tag import variants as measured

    document = tag.document
    found = measured.variants(document)
    if len(found) < 2:
        return None
    score = measured.main_score(found)
    first = found[0]
    baseline = None if score is None else first.scores.get(score)
    rows = []
    for variant in found:
        paid = measured.break_even_inferences(document, first, variant)
        own = None if score is None else variant.scores.get(score)
        values = [None if each is None else each.value for each in (baseline, own)]
        before, after = values
        size = variant.metric(measured.SIZE)
        rows.append(
            {
                "label": variant.label,
                "stage": variant.stage,
                "is_baseline": variant is first,
                "making_kwh": measured.making_kwh(document, variant).as_dict(),
                "per_1000_inferences_kwh": measured.inference_kwh(variant).as_dict(),
                "score": after,
                "score_change": None if before is None or after is None else after - before,
                "size_bytes": None if size is None else size.value,
                "break_even_inferences": paid.as_dict(),
                "is_never": measured.is_never(paid),
            }
        )
    metric = None if score is None else {"metric": score[1], "split": score[0] or None}
    return {"score": metric, "variants": rows}
