"""Quality against cost of several runs: points, frontier, and cost without improvement."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pricetag.accounting.quantity.quantity import weakest
from pricetag.accounting.work.frontier import Outcome, frontier, spent_in_vain
from pricetag.tag.axes import MODEL_AXES, Axis
from pricetag.tag.evaluated import NO_SCORE, Evaluated, ScoredRun, why_not
from pricetag.tag.figure import Figure, scaled
from pricetag.tag.scores import LOWER_IS_BETTER
from pricetag.tag.trials import cost_of, spent_on
from pricetag.tag.view import TagView

if TYPE_CHECKING:
    from pricetag.tag.variants import Variant

NO_RUN = "no run with this score has a known cost"
NO_RUNS = "there are no runs"
NOT_SPENT = "a figure of a model, which no run spends"


@dataclass(frozen=True, slots=True)
class Point:
    """One run.

    Attributes:
        run: The run.
        cost: What its model cost.
        spent: What it spent itself: without the training of a model that it compresses.
        quality: Its score; None without one of the ranked kind.
        reason: Why there is none.
        is_counted: Whether it is compared with the others: it has the score, or should have it by
            its recipe.
        is_dominated: Whether another run beats it; None if it is not ranked.
    """

    run: ScoredRun
    cost: Figure
    spent: Figure
    quality: float | None
    reason: str | None
    is_counted: bool
    is_dominated: bool | None = None


@dataclass(frozen=True, slots=True)
class Frontier:
    """Several runs.

    Attributes:
        points: The runs, in the given order.
        steps: Those that nobody beats, from the cheapest to the best: run, price of a further
            unit of quality, and whether the cost differs by more than both intervals.
        wasted: Cost of the runs that ended after the last improvement; None if unknown.
        reason: Why there are no steps; None if there are.
        wasted_reason: Why the wasted cost is unknown; None if it is known.
    """

    points: Sequence[Point]
    steps: Sequence[tuple[TagView, float | None, bool | None]]
    wasted: float | None
    reason: str | None
    wasted_reason: str | None


def frontier_of(runs: Sequence[ScoredRun], metric: Axis, kind: Evaluated | None) -> Frontier:
    """The frontier of some runs; costs in several units are neither compared nor added.

    Args:
        runs: The runs, in the order in which they ended.
        metric: The cost.
        kind: The quality; runs that were scored on another task or other data are not ranked.
    """
    points = points_of(runs, metric, kind)
    units = {p.cost.unit for p in points if p.is_counted and p.cost.value is not None}
    if len(units) > 1:
        mixed = f"different units: {', '.join(sorted(units))}"
        return Frontier(points, [], None, mixed, mixed)
    sign = -1.0 if kind is not None and kind.metric in LOWER_IS_BETTER else 1.0
    outcomes = [
        Outcome(
            n, p.cost.value, sign * p.quality, _or(p.cost.low, p.cost), _or(p.cost.high, p.cost)
        )
        for n, p in enumerate(points)
        if p.cost.value is not None and p.quality is not None
    ]
    steps = frontier(outcomes)
    best = {step.key for step in steps}
    for outcome in outcomes:
        n = outcome.key
        points[n] = replace(points[n], is_dominated=n not in best)
    wasted, wasted_reason = (None, NOT_SPENT) if metric in MODEL_AXES else _wasted(points, sign)
    return Frontier(
        points=points,
        steps=[(runs[step.key].tag, step.price, step.is_costlier) for step in steps],
        wasted=wasted,
        reason=None if steps else NO_RUN,
        wasted_reason=wasted_reason,
    )


def points_of(runs: Sequence[ScoredRun], metric: Axis, kind: Evaluated | None) -> list[Point]:
    """Cost and quality of some runs.

    Args:
        runs: The runs.
        metric: The cost.
        kind: The quality.
    """
    split = None if kind is None else kind.split
    scores = [None if kind is None else run.scores.get(kind) for run in runs]
    stated = {
        run.stated(split) for run, score in zip(runs, scores, strict=True) if score is not None
    }
    points = []
    for run, score in zip(runs, scores, strict=True):
        reason = why_not(run, kind)
        # A run that failed before it was scored is one of those that its recipe belongs to.
        is_counted = score is not None or (
            reason == NO_SCORE and (kind is None or run.stated(split) in stated)
        )
        cost, spent = cost_of(run, metric), spent_on(run, metric)
        points.append(Point(run, cost, spent, score, reason, is_counted))
    return points


def _or(end: float | None, cost: Figure) -> float:
    if end is not None:
        return end
    return 0.0 if cost.value is None else cost.value


def _wasted(points: Sequence[Point], sign: float) -> tuple[float | None, str | None]:
    """Cost of the runs since the last improvement, or the reason why it is unknown."""
    outcomes: list[tuple[float, float | None]] = []
    for point in points:
        if not point.is_counted:
            continue
        if point.spent.value is None:
            return None, f"{point.run.tag.name}: {point.spent.reason}"
        quality = None if point.quality is None else sign * point.quality
        outcomes.append((point.spent.value, quality))
    return (spent_in_vain(outcomes), None) if outcomes else (None, NO_RUNS)


def marginal_prices(result: Frontier) -> list[Figure]:
    """The price of a further unit of quality at each step, with its interval.

    The interval goes from the lowest to the highest difference of both costs; of the first step
    there is no price.
    """
    by_run = {point.run.tag.document.run_id: point for point in result.points}
    steps = [by_run[view.document.run_id] for view, _, _ in result.steps]
    prices = [Figure.unknown("the cheapest run of the frontier")] if steps else []
    for before, after in itertools.pairwise(steps):
        prices.append(_price(before, after))
    return prices


def _price(before: Point, after: Point) -> Figure:
    more = abs((after.quality or 0.0) - (before.quality or 0.0))
    first, last = before.cost, after.cost
    if first.value is None or last.value is None or not more:
        return Figure.unknown(str(first.reason or last.reason), last.unit)
    low = (_or(last.low, last) - _or(first.high, first)) / more
    high = (_or(last.high, last) - _or(first.low, first)) / more
    value = (last.value - first.value) / more
    return Figure(value, low, high, last.unit, _weakest([first, last]))


def wasted_cost(result: Frontier, *, lower_is_better: bool) -> Figure:
    """Cost of the runs that ended after the last improvement, with the ends of all intervals."""
    if result.wasted is None:
        return Figure.unknown(str(result.wasted_reason))
    sign = -1.0 if lower_is_better else 1.0
    best, since = float("-inf"), list[Figure]()
    counted = [point for point in result.points if point.is_counted]
    for point in counted:
        if point.quality is not None and sign * point.quality > best:
            best, since = sign * point.quality, []
        else:
            since.append(point.spent)
    unit = counted[0].spent.unit
    if not since:
        return Figure.exact(0.0, unit, _weakest([point.spent for point in counted]))
    low, high = (sum(_or(getattr(cost, end), cost) for cost in since) for end in ("low", "high"))
    return Figure(result.wasted, low, high, unit, _weakest(since))


def _weakest(costs: Sequence[Figure]) -> str | None:
    sources = [cost.source for cost in costs if cost.source is not None]
    return weakest(*sources) if sources else None  # type: ignore[arg-type]


def variant_rows(
    tag: TagView, *, baseline: str | None = None, inferences: int | None = None
) -> Mapping[str, Any] | None:
    """Costs and savings of a run's compression; None if it measured fewer than two variants.

    Args:
        tag: The run's price tag.
        baseline: Label of the variant that the others are compared with; by default, and in runs
            without it, the first.
        inferences: Number of inferences for which the energy is shown; None for none.
    """
    from pricetag.tag import variants as measured

    variants_in_order = measured.variants(tag.document)
    if len(variants_in_order) < 2:
        return None
    base = next(
        (variant for variant in variants_in_order if variant.label == baseline),
        variants_in_order[0],
    )
    score = measured.main_score(variants_in_order)
    metric = None if score is None else {"metric": score[1], "split": score[0] or None}
    rows = [_variant_row(tag, base, variant, score, inferences) for variant in variants_in_order]
    return {"score": metric, "variants": rows}


def _variant_row(
    tag: TagView,
    base: Variant,
    variant: Variant,
    score: tuple[str, str] | None,
    inferences: int | None,
) -> dict[str, Any]:
    from pricetag.tag import variants as measured

    document = tag.document
    more = variant.made_by[len(base.made_by) :]
    follows = variant.made_by[: len(base.made_by)] == base.made_by
    own = variant if variant is base else replace(variant, made_by=more if follows else ())
    making = measured.making_kwh(document, own)
    each = measured.inference_kwh(variant)
    paid = measured.break_even_inferences(document, base, own)
    if not follows:
        making = Figure.unknown("it was not made from the baseline", "kWh")
    elif variant is base:
        making = Figure.exact(0.0, "kWh", each.source)
    scores = [None if score is None else model.scores.get(score) for model in (base, variant)]
    before, after = (None if score is None else score.value for score in scores)
    size = variant.metric(measured.SIZE)
    total = None if inferences is None else _for_inferences(making, each, inferences)
    return {
        "label": variant.label,
        "stage": variant.stage,
        "is_baseline": variant is base,
        "making_kwh": making.as_dict(),
        "per_1000_inferences_kwh": each.as_dict(),
        "score": after,
        "score_change": None if before is None or after is None else after - before,
        "size_bytes": None if size is None else size.value,
        "break_even_inferences": paid.as_dict(),
        "is_never": measured.is_never(paid),
        "total_kwh": None if total is None else total.as_dict(),
    }


def _for_inferences(making: Figure, per_1000: Figure, inferences: int) -> Figure:
    """Energy of making a variant and of a number of inferences, by the ends of both intervals."""
    use = scaled(per_1000, inferences / 1000, "kWh")
    for part in (making, use):
        if part.value is None:
            return part
    low, high = (
        _or(getattr(making, end), making) + _or(getattr(use, end), use) for end in ("low", "high")
    )
    value = (making.value or 0.0) + (use.value or 0.0)
    return Figure(value, low, high, "kWh", _weakest([making, use]))
