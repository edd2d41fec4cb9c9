"""SQL of the audit log, which is append-only."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import AuditEntry


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


def _conditions(filters: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name in ("object_kind", "object_id", "action", "actor", "user_id", "token_id", "access"):
        value = getattr(filters, name)
        if value is not None:
            conditions.append(getattr(AuditEntry, name) == value)
    if filters.since is not None:
        conditions.append(AuditEntry.at >= filters.since)
    if filters.until is not None:
        conditions.append(AuditEntry.at < filters.until)
    return conditions


async def page(
    session: AsyncSession, filters: AuditFilter, *, before_id: int | None, limit: int
) -> Sequence[AuditEntry]:
    """Entries below an id, newest first."""
    query = select(AuditEntry).where(*_conditions(filters))
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    query = query.order_by(AuditEntry.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()
