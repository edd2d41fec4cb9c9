"""SQL of the audit log: rows are added and read, never anything else."""

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
    """Which entries; every condition given must hold."""

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


def _conditions(chosen: AuditFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name in ("object_kind", "object_id", "action", "actor", "user_id", "token_id", "access"):
        value = getattr(chosen, name)
        if value is not None:
            found.append(getattr(AuditEntry, name) == value)
    if chosen.since is not None:
        found.append(AuditEntry.at >= chosen.since)
    if chosen.until is not None:
        found.append(AuditEntry.at < chosen.until)
    return found


async def page(
    session: AsyncSession, chosen: AuditFilter, *, before_id: int | None, limit: int
) -> Sequence[AuditEntry]:
    """Entries, the newest first, those below an id."""
    query = select(AuditEntry).where(*_conditions(chosen))
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    query = query.order_by(AuditEntry.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()
