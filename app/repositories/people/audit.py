"""SQL of the audit log, which is append-only.

A page is first searched along the index of one of its filters, over a bounded number of entries. If
the other filters match too few of these, the indexes of all filters find the rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, literal, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.bitmap_scans import bitmap_scans
from models import AuditEntry
from models.budget import AUDIT_FILTERS

LOOK_AHEAD = 2_000
"""Entries that are read along one index before the indexes of all filters are used."""

Position = tuple[datetime, int]
"""Time and id of an entry."""

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
LAST_ID = 2**63 - 1


@dataclass(frozen=True)
class AuditFilter:
    """Filter of entries; all conditions must hold."""

    object_kind: str | None = None
    object_id: str | None = None
    action: str | None = None
    actor: str | None = None
    user_id: uuid.UUID | None = None
    token_id: uuid.UUID | None = None
    access: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def add(session: AsyncSession, entry: AuditEntry) -> None:
    session.add(entry)
    await session.flush()


async def position_of(session: AsyncSession, entry_id: int) -> Position | None:
    """Position of an entry in the log; None if there is no such entry."""
    query = select(AuditEntry.at, AuditEntry.id).where(AuditEntry.id == entry_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row.at, row.id)


async def has_entry(session: AsyncSession, **equal: str) -> bool:
    """Whether any entry has these values, of columns that are filters."""
    query = select(AuditEntry.id).filter_by(**equal).limit(1)
    return (await session.execute(query)).first() is not None


async def page(
    session: AsyncSession, filters: AuditFilter, *, before: Position | None, limit: int
) -> Sequence[AuditEntry]:
    """Entries before a position, newest first."""
    low = (filters.since or FIRST, 0)
    ends = [end for end in ((filters.until or LAST, 0), before) if end is not None]
    span = low, min(ends)
    equals = {
        name: getattr(filters, name) for name in AUDIT_FILTERS if getattr(filters, name) is not None
    }
    leading = next(iter(equals), None)
    others = {name: value for name, value in equals.items() if name != leading}
    if not others:
        return await _entries(session, _along(leading, equals, span, limit))
    ahead = _along(leading, equals, span, LOOK_AHEAD).subquery("ahead").c
    nearby = select(ahead.id).where(*(ahead[name] == value for name, value in others.items()))
    nearby = nearby.order_by(ahead.at.desc(), ahead.id.desc()).limit(limit)
    entries = await _entries(session, nearby)
    if len(entries) == limit:
        return entries
    matching = select(AuditEntry.id).where(
        *(getattr(AuditEntry, name) == value for name, value in equals.items()),
        AuditEntry.at >= span[0][0],
        AuditEntry.at <= span[1][0],
        tuple_(AuditEntry.at, AuditEntry.id) < tuple_(*_literals(span[1])),
    )
    matching = matching.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(limit)
    async with bitmap_scans(session):
        return await _entries(session, matching)


def _along(
    leading: str | None, equals: dict[str, Any], span: tuple[Position, Position], limit: int
) -> Select[Any]:
    """The newest entries of a span of time, along the index of one column.

    The leading column has two bounds and is in the sort order, instead of an equality, so that only
    the index that begins with it has that order.
    """
    place: list[ColumnElement[Any]] = [AuditEntry.at.expression, AuditEntry.id.expression]
    low, high = (list(_literals(end)) for end in span)
    if leading is not None:
        column = getattr(AuditEntry, leading)
        value = literal(equals[leading], column.type)
        place, low, high = [column, *place], [value, *low], [value, *high]
    columns = (AuditEntry.at, AuditEntry.id, *(getattr(AuditEntry, name) for name in AUDIT_FILTERS))
    return (
        select(*columns)
        .where(tuple_(*place) > tuple_(*low), tuple_(*place) < tuple_(*high))
        .order_by(*(column.desc() for column in place))
        .limit(literal_column(str(limit)))
    )


def _literals(position: Position) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    at, entry_id = position
    return literal(at, AuditEntry.at.type), literal(entry_id, AuditEntry.id.type)


async def _entries(session: AsyncSession, ids: Select[Any]) -> Sequence[AuditEntry]:
    """The entries of a page, read whole only once it is known which they are."""
    selected = ids.subquery("page")
    query = select(AuditEntry).join(selected, selected.c.id == AuditEntry.id)
    query = query.order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
    return (await session.execute(query)).scalars().all()
