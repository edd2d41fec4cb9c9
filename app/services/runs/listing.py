"""Lists of runs, page by page."""

from __future__ import annotations

import uuid
from datetime import datetime

from app.db import Session
from app.repositories.runs import pages as run_pages
from app.repositories.runs import runs
from app.repositories.runs.selection import RunFilter as RunFilter
from app.repositories.runs.selection import resolve
from app.schemas.runs import (
    RunCount,
    RunPage,
    RunSort,
    RunSummary,
)
from app.services import cursors
from app.services.names import require_filters
from app.services.principals import Principal
from app.services.runs.responses import summary
from models import Run

MOST_COUNTED = 10_000
"""Maximum number of runs that a list counts."""


async def list_page(
    session: Session,
    principal: Principal,
    filters: RunFilter,
    *,
    sort: RunSort,
    cursor: str | None,
    limit: int,
    count: bool = False,
) -> RunPage:
    """A page of runs, which begins after the last run of the previous page.

    Args:
        session: Database session, only read.
        principal: Who asks.
        filters: Filters of the runs.
        sort: Their order.
        cursor: Where the previous page ended.
        limit: Maximum number of runs on the page.
        count: Whether to count the runs of all pages, up to `MOST_COUNTED`.

    Raises:
        CursorError: If the cursor does not belong to a list in this order.
        NotFoundError: If the project, experiment or user of the filters does not exist, or is
            hidden from the principal.
    """
    after = _position(cursor, sort)
    selection = await resolve(session, principal.viewer, filters)
    if selection.is_empty:
        await require_filters(
            session,
            principal,
            project=filters.project,
            experiment=filters.experiment,
            user=filters.user,
        )
    rows = await runs.list_runs(session, selection, sort=sort, after=after, limit=limit + 1)
    shown, following = cursors.page(rows, limit, lambda row: _place(row.run, sort))
    items = [RunSummary.model_validate(summary(row)) for row in shown]
    counted = await run_pages.count(session, selection, MOST_COUNTED) if count else None
    return RunPage(
        items=items,
        next_cursor=following,
        count=None if counted is None else RunCount.model_validate(counted),
    )


def _place(run: Run, sort: RunSort) -> tuple[str, str, str]:
    key = getattr(run, sort.removeprefix("-"))
    if isinstance(key, datetime):
        key = key.isoformat()
    return sort, "infinity" if key is None else str(key), str(run.id)


def _position(cursor: str | None, sort: RunSort) -> tuple[str, uuid.UUID] | None:
    if cursor is None:
        return None
    order, key, run_id = map(str, cursors.decode(cursor, str, str, str))
    if order != sort:
        raise cursors.invalid("cursor")
    if not sort.endswith("name"):
        cursors.check_time(key)
    return key, cursors.parse_id(run_id)
