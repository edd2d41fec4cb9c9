"""SQL of sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, AuditEntry, Site

AUDITED_AS = "site"


async def add(session: AsyncSession, site: Site) -> None:
    session.add(site)
    await session.flush()


async def by_name(session: AsyncSession, name: str, *, lock: bool = False) -> Site | None:
    query = select(Site).where(Site.name == name)
    if lock:
        query = query.with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def all_sites(session: AsyncSession) -> Sequence[Site]:
    return (await session.execute(select(Site).order_by(Site.name))).scalars().all()


async def first_change_after(
    session: AsyncSession, name: str, at: datetime
) -> Mapping[str, Any] | None:
    """The first change of a site after an instant, from the audit log."""
    query = (
        select(AuditEntry.before)
        .where(
            AuditEntry.object_kind == AUDITED_AS,
            AuditEntry.object_id == name,
            AuditEntry.action == "changed",
            AuditEntry.at > at,
        )
        .order_by(AuditEntry.id)
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def of_run(session: AsyncSession, run_id: UUID) -> str | None:
    """The site of the run's last ended attempt."""
    query = (
        select(Attempt.site)
        .where(Attempt.run_id == run_id, Attempt.ended_at.is_not(None))
        .order_by(Attempt.number.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()
