"""Lists of runs, page by page."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.db import Session
from app.repositories.runs import pages as run_pages
from app.repositories.runs import runs
from app.repositories.runs.orders import FIGURES, FIRST_ID, LAST_ID, Order, Position
from app.repositories.runs.runs import RunRow
from app.repositories.runs.selection import RunFilter as RunFilter
from app.repositories.runs.selection import Selection, resolve
from app.schemas.runs import (
    RunCount,
    RunPage,
    RunSort,
    RunSummary,
)
from app.services import cursors
from app.services.errors import InvalidError
from app.services.people.names import require_filters
from app.services.principals import Principal
from app.services.runs.responses import summary
from app.settings import get_settings

MOST_COUNTED = 10_000
"""Maximum number of runs that a list counts."""

BEFORE = "before "
"""Begins the cursors of pages that end before a run."""


class StartError(InvalidError):
    """A page of this list cannot begin at a time."""

    code = "no-start-time"


async def list_page(
    session: Session,
    principal: Principal,
    filters: RunFilter,
    *,
    sort: RunSort,
    cursor: str | None,
    limit: int,
    count: bool = False,
    start_at: datetime | None = None,
) -> RunPage:
    """A page of runs, next to another one or at a time.

    Args:
        session: Database session, only read.
        principal: Who asks.
        filters: Filters of the runs.
        sort: Their order.
        cursor: Where the previous page ended, or where the following one begins.
        limit: Maximum number of runs on the page.
        count: Whether to count the runs of all pages, up to `MOST_COUNTED`.
        start_at: Time at which the page begins, of an order by time; not with a cursor.

    Raises:
        CursorError: If the cursor does not belong to a list in this order.
        StartError: If the page cannot begin at a time.
        NotFoundError: If the project, experiment or user of the filters does not exist, or is
            hidden from the principal.
    """
    place = _started(start_at, sort, cursor) if start_at else _placed(cursor, sort)
    selection = await _resolved(session, principal, filters)
    rows = await runs.list_runs(
        session,
        selection,
        sort=sort,
        after=place.position,
        limit=limit + 1,
        backwards=place.is_end,
        currency=get_settings().currency,
    )
    has_more = len(rows) > limit
    shown = (rows[-limit:] if place.is_end else rows[:limit]) if has_more else rows
    counted = await run_pages.count(session, selection, MOST_COUNTED) if count else None
    begins_list = place.position is None or (place.is_end and not has_more)
    ends_list = not place.is_end and not has_more
    return RunPage(
        items=[RunSummary.model_validate(summary(row)) for row in shown],
        next_cursor=None if ends_list else _cursor(shown[-1:], place, sort, is_end=False),
        previous_cursor=None if begins_list else _cursor(shown[:1], place, sort, is_end=True),
        count=None if counted is None else RunCount.model_validate(counted),
    )


async def first_ids(
    session: Session, principal: Principal, filters: RunFilter, *, sort: RunSort, limit: int
) -> tuple[list[uuid.UUID], bool]:
    """The ids of the first selected runs of an order, and whether these are all of them.

    Args:
        session: Database session, only read.
        principal: Who asks.
        filters: Filters of the runs.
        sort: Their order, by a column.
        limit: Maximum number of runs.

    Raises:
        NotFoundError: As `list_page`.
    """
    selection = await _resolved(session, principal, filters)
    order = Order.parse(sort)
    places = await run_pages.first(session, selection, order, after=None, limit=limit + 1)
    return [run_id for _, run_id in places[:limit]], len(places) <= limit


async def require(session: Session, principal: Principal, filters: RunFilter) -> None:
    """Requires that the names in the filters exist.

    Raises:
        NotFoundError: As `list_page`.
    """
    await _resolved(session, principal, filters)


async def _resolved(session: Session, principal: Principal, filters: RunFilter) -> Selection:
    selection = await resolve(session, principal.viewer, filters)
    if selection.is_empty:
        await require_filters(
            session,
            principal,
            project=filters.project,
            experiment=filters.experiment,
            user=filters.user,
        )
    return selection


async def count(session: Session, principal: Principal, filters: RunFilter) -> RunCount:
    """The number of selected runs, up to `MOST_COUNTED`."""
    selection = await resolve(session, principal.viewer, filters)
    return RunCount.model_validate(await run_pages.count(session, selection, MOST_COUNTED))


async def list_newest(
    session: Session, principal: Principal, filters: RunFilter, *, limit: int
) -> tuple[list[RunSummary], bool]:
    """The newest selected runs, and whether these are all of them.

    Args:
        session: Database session, only read.
        principal: Who asks.
        filters: Filters of the runs.
        limit: Maximum number of runs.

    Raises:
        NotFoundError: As `list_page`.
    """
    page = await list_page(
        session, principal, filters, sort="-created_at", cursor=None, limit=limit
    )
    return page.items, page.next_cursor is None


def posted_after(filters: RunFilter, moment: datetime) -> RunFilter:
    """The same filters, of runs that were posted after a time."""
    start = filters.created_after
    return replace(filters, created_after=moment if start is None else max(start, moment))


def cursor_from(run: RunSummary, sort: RunSort) -> str:
    """The cursor of a page that begins with a run."""
    column = sort.removeprefix("-")
    key = _figure(run, column) if column in FIGURES else getattr(run, column)
    text = _text(key)
    beside = uuid.UUID(int=run.id.int + (1 if sort.startswith("-") else -1))
    return cursors.encode(sort, text, str(beside))


def _figure(run: RunSummary, name: str) -> float | None:
    """The sort key of a run; None if it is unknown or in another currency."""
    if run.price_tag is None:
        return None
    if name != "cost":
        value: float | None = getattr(run.price_tag, name)
        return value
    cost = run.price_tag.figures.cost
    return cost.value if cost.unit == get_settings().currency else None


def _text(key: str | datetime | float | None) -> str:
    """A key of an order, as it is in cursors."""
    if isinstance(key, datetime):
        return key.isoformat()
    return "infinity" if key in (None, math.inf) else str(key)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page is: after a position, or before it."""

    position: Position | None
    is_end: bool = False


def _cursor(row: Sequence[RunRow], place: _Place, sort: RunSort, *, is_end: bool) -> str | None:
    """The cursor at a run; if the page is empty, at the place itself."""
    position = (row[0].key, row[0].run.id) if row else place.position
    if position is None or position[0] is None:
        return None
    return cursors.encode(BEFORE + sort if is_end else sort, position[0], str(position[1]))


def _placed(cursor: str | None, sort: RunSort) -> _Place:
    if cursor is None:
        return _Place(None)
    order, key, run_id = map(str, cursors.decode(cursor, str, str, str))
    if order.removeprefix(BEFORE) != sort:
        raise cursors.invalid("cursor")
    if sort.removeprefix("-") in FIGURES:
        cursors.check_number(key)
    elif is_by_time(sort):
        cursors.check_time(key)
    return _Place((key, cursors.parse_id(run_id)), is_end=order.startswith(BEFORE))


def is_by_time(sort: RunSort) -> bool:
    """Whether runs are in an order by time."""
    return sort.removeprefix("-") in ("created_at", "finished_at")


def _started(moment: datetime, sort: RunSort, cursor: str | None) -> _Place:
    if cursor is not None:
        raise StartError("start_at: not with a cursor; use one of them", field="start_at")
    if not is_by_time(sort):
        raise StartError(
            "start_at: only in an order by time; choose created_at or finished_at as sort",
            field="start_at",
        )
    return _Place((moment.isoformat(), LAST_ID if sort.startswith("-") else FIRST_ID))
