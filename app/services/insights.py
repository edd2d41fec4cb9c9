"""What several runs show together: the frontier of quality and cost, and compression."""

from __future__ import annotations

from typing import Any

from app.db import Session
from app.repositories.price_tags import reports
from app.schemas.insights import (
    CompressionLedger,
    CompressionRead,
    FrontierPoint,
    FrontierRead,
    FrontierStep,
    ScoreName,
)
from app.schemas.runs import RunSummary
from app.services.principals import Principal
from app.services.runs import listing
from app.services.runs.listing import RunFilter
from pricetag.tag.frontier import Score, common_score, frontier_of, scores_of, variant_rows
from pricetag.tag.matches import LOWER_IS_BETTER
from pricetag.tag.ratios import Metric
from pricetag.tag.view import TagView

FINAL = ("succeeded", "failed", "cancelled")


async def _tags(
    session: Session, by: Principal, filters: RunFilter, limit: int
) -> tuple[list[tuple[RunSummary, TagView]], bool]:
    """Ended runs with their latest price tags, newest first, and whether these are all."""
    page = await listing.list_page(
        session, by, filters, sort="-finished_at", cursor=None, limit=limit
    )
    newest = await reports.newest_price_tags(session, by.viewer, [run.id for run in page.items])
    tagged = [(run, TagView.read(newest[run.id])) for run in page.items if run.id in newest]
    return tagged, page.next_cursor is None


async def frontier(
    session: Session,
    by: Principal,
    filters: RunFilter,
    *,
    metric: Metric,
    quality: str | None,
    split: str | None,
    limit: int,
) -> FrontierRead:
    """Quality against cost of the newest selected runs.

    Args:
        session: Database session, only read.
        by: The caller.
        filters: Filters of the runs.
        metric: The cost.
        quality: Metric of the score; by default the one that most runs have.
        split: Split of the score; by default the one that most runs have.
        limit: Maximum number of runs.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    tagged, is_whole = await _tags(session, by, filters, limit)
    tagged.reverse()
    views = [view for _, view in tagged]
    score = _score(views, quality, split)
    result = frontier_of(views, metric, score)
    points = [
        FrontierPoint(
            run_id=run.id,
            name=run.name,
            project=run.project,
            status=run.status,
            kind=run.kind,
            tags=run.tags,
            version=point.tag.document.version,
            cost=point.cost.as_dict(),
            quality=point.quality,
            is_dominated=point.is_dominated,
        )
        for (run, _), point in zip(tagged, result.points, strict=True)
    ]
    units = {point.cost.unit for point in points if point.cost.value is not None}
    return FrontierRead(
        metric=metric,
        unit=units.pop() if len(units) == 1 else _unit(metric),
        score=None if score is None else ScoreName(metric=score[0], split=score[1]),
        lower_is_better=score is not None and score[0] in LOWER_IS_BETTER,
        points=points,
        steps=[
            FrontierStep(run_id=view.document.run_id, price=price, is_costlier=is_costlier)
            for view, price, is_costlier in result.steps
        ],
        wasted=result.wasted,
        without_quality=sum(point.quality is None for point in points),
        is_whole=is_whole,
    )


def _unit(metric: Metric) -> str:
    return {"co2e_kg": "kg", "duration_s": "s", "cost": "money"}.get(metric, "kWh")


def _score(views: list[TagView], quality: str | None, split: str | None) -> Score | None:
    if quality is None and split is None:
        return common_score(views)
    wanted = [
        score
        for view in views
        for score in scores_of(view)
        if quality in (None, score[0]) and split in (None, score[1])
    ]
    return max(wanted, key=wanted.count) if wanted else None


async def compressions(
    session: Session, by: Principal, filters: RunFilter, *, limit: int
) -> CompressionLedger:
    """The ledger of the newest selected runs that measured variants of their model.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    tagged, is_whole = await _tags(session, by, filters, limit)
    items = []
    for run, view in tagged:
        rows: Any = variant_rows(view)
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
    return CompressionLedger(items=items, is_whole=is_whole)
