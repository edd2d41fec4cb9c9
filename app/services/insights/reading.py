"""Insights over several runs: the frontier of quality and cost, and compression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.db import Session
from app.schemas.insights import (
    BestOfTrials,
    CompressionLedger,
    CompressionRead,
    CurveCrossing,
    ExpectedValidationRead,
    FrontierPoint,
    FrontierRead,
    FrontierStep,
    MethodCurve,
    ScoreKind,
    ScoreName,
)
from app.services.insights.tags import newest_tags
from app.services.insights.trials import newest_trials
from app.services.principals import Principal
from app.services.runs.listing import RunFilter
from pricetag.tag import best_of_k
from pricetag.tag.axes import UNITS, Axis, Spending
from pricetag.tag.best_of_k import Method
from pricetag.tag.evaluated import NOT_RECORDED, Evaluated, ScoredRun, kinds
from pricetag.tag.frontier import frontier_of, marginal_prices, variant_rows, wasted_cost
from pricetag.tag.scores import LOWER_IS_BETTER

FINAL = ("succeeded", "failed", "cancelled")


async def frontier(
    session: Session,
    by: Principal,
    filters: RunFilter,
    *,
    metric: Axis,
    wanted: Mapping[str, str | None],
    limit: int,
) -> FrontierRead:
    """Quality against cost of the newest selected runs; a trial of a study is one, with its rungs.

    Args:
        session: Database session, only read.
        by: The caller.
        filters: Filters of the runs.
        metric: The cost against which quality is plotted.
        wanted: Wanted metric, split, task and data of the score; where None, those that most
            runs have.
        limit: Maximum number of runs.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    newest = await newest_trials(session, by, filters, limit)
    scored = [trial.scored for trial in newest.items]
    all_kinds = kinds(scored)
    kind = next((each for each, _ in all_kinds if is_wanted(each, wanted)), None)
    result = frontier_of(scored, metric, kind)
    points = [
        FrontierPoint(
            run_id=trial.run.id,
            runs=len(trial.ended),
            name=trial.run.name,
            project=trial.run.project,
            status=trial.run.status,
            kind=trial.method,
            tags=trial.run.tags,
            version=point.run.tag.document.version,
            cost=point.cost.as_dict(),
            quality=point.quality,
            quality_reason=point.reason,
            is_dominated=point.is_dominated,
        )
        for trial, point in zip(newest.items, result.points, strict=True)
    ]
    is_lower = kind is not None and kind.metric in LOWER_IS_BETTER
    units = {
        point.cost.unit
        for point in result.points
        if point.is_counted and point.cost.value is not None
    }
    return FrontierRead(
        metric=metric,
        unit=units.pop() if len(units) == 1 else UNITS[metric],
        score=None if kind is None else ScoreName(metric=kind.metric, split=kind.split),
        kind=next((shown_kind(each, count) for each, count in all_kinds if each == kind), None),
        kinds=[shown_kind(each, count) for each, count in all_kinds],
        lower_is_better=is_lower,
        points=points,
        steps=[
            FrontierStep(
                run_id=view.document.run_id,
                price=price,
                marginal_price=marginal.as_dict(),
                is_costlier=is_costlier,
            )
            for (view, price, is_costlier), marginal in zip(
                result.steps, marginal_prices(result), strict=True
            )
        ],
        reason=result.reason,
        wasted=result.wasted,
        wasted_reason=result.wasted_reason,
        wasted_cost=wasted_cost(result, lower_is_better=is_lower).as_dict(),
        without_quality=sum(point.quality is None for point in points),
        **newest.about,
    )


def is_wanted(kind: Evaluated, wanted: Mapping[str, str | None]) -> bool:
    """Whether a kind of score has the wanted metric, split, task and data."""
    return all(value in (None, getattr(kind, name)) for name, value in wanted.items())


def shown_kind(kind: Evaluated, runs: int) -> ScoreKind:
    """A kind of score, with the number of runs that have it."""
    reason = NOT_RECORDED if kind.data is None else None
    return ScoreKind(**asdict(kind), data_reason=reason, runs=runs)


async def compressions(
    session: Session,
    by: Principal,
    filters: RunFilter,
    *,
    limit: int,
    baseline: str | None = None,
    inferences: int | None = None,
) -> CompressionLedger:
    """Costs and savings of compression in the newest selected runs that measured variants.

    Args:
        session: Database session, only read.
        by: The caller.
        filters: Filters of the runs.
        limit: Maximum number of runs.
        baseline: Label of the variant that the others are compared with; by default the first.
        inferences: Number of inferences for which the energy is shown.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    newest = await newest_tags(session, by, filters, limit)
    items = []
    for run, view in newest.runs:
        rows: Any = variant_rows(view, baseline=baseline, inferences=inferences)
        if rows is not None:
            items.append(
                CompressionRead(
                    run_id=run.id,
                    name=run.name,
                    project=run.project,
                    version=view.document.version,
                    **rows,
                )
            )
    return CompressionLedger(items=items, unreadable=newest.unreadable, is_whole=newest.is_whole)


async def expected_validation(
    session: Session,
    by: Principal,
    filters: RunFilter,
    *,
    metric: Spending,
    wanted: Mapping[str, str | None],
    methods: Sequence[str],
    with_replacement: bool,
    limit: int,
) -> ExpectedValidationRead:
    """Expected best score of k trials against their cost, by method.

    Args:
        session: Database session, only read.
        by: The caller.
        filters: Filters of the runs.
        metric: The cost.
        wanted: Wanted metric, split, task and data of the score; where None, those that most
            runs have.
        methods: Tags; each is a method, whose trials are the runs with the tag. Without any, runs
            with the same stage kinds are one method. The rungs of a trial of a study are one trial.
        with_replacement: Whether to use the estimator with replacement.
        limit: Maximum number of runs.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    newest = await newest_trials(session, by, filters, limit)
    runs: dict[str, list[ScoredRun]] = {name: [] for name in methods}
    scored = []
    projects = set()
    for trial in newest.items:
        tags = trial.run.tags
        names = [name for name in methods if name in tags] if methods else [trial.method]
        if not names:
            continue
        scored.append(trial.scored)
        projects.add(trial.run.project)
        for name in names:
            runs.setdefault(name, []).append(trial.scored)
    all_kinds = kinds(scored)
    kind = next((each for each, _ in all_kinds if is_wanted(each, wanted)), None)
    curves = best_of_k.methods(runs, metric, kind, with_replacement=with_replacement)
    curves.sort(key=lambda method: (-method.trials, method.name))
    units = {method.cost.unit for method in curves if method.cost.value is not None}
    is_lower = kind is not None and kind.metric in LOWER_IS_BETTER
    is_one = len(units) <= 1  # curves over different currencies cross nowhere
    return ExpectedValidationRead(
        metric=metric,
        unit=min(units) if len(units) == 1 else UNITS[metric],
        kind=next((shown_kind(each, count) for each, count in all_kinds if each == kind), None),
        kinds=[shown_kind(each, count) for each, count in all_kinds],
        lower_is_better=is_lower,
        with_replacement=with_replacement,
        methods=[_method_curve(method) for method in curves],
        crossings=[
            CurveCrossing(first=each.first, second=each.second, cost=each.cost)
            for each in (best_of_k.crossings(curves) if is_one else [])
        ],
        verdicts=best_of_k.verdicts(curves, lower_is_better=is_lower),
        projects=sorted(projects),
        **newest.about,
    )


def _method_curve(method: Method) -> MethodCurve:
    mean = method.cost.value
    points = [] if mean is None else method.best
    return MethodCurve(
        name=method.name,
        trials=method.trials,
        unscored=method.unscored,
        mean_cost=method.cost.as_dict(),
        points=[
            BestOfTrials(
                trials=best.k,
                cost=best.k * (mean or 0.0),
                expected=best.expected,
                variance=best.variance,
                low=best.low,
                high=best.high,
            )
            for best in points
        ],
        reason=method.reason,
    )
