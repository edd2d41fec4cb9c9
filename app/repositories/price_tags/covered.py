"""SQL of the billed attempts that a factor covers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, Project, Run, Spend


def _covered(site: str | None, start: datetime, stop: datetime | None, default: str) -> Any:
    query = (
        select(Spend.run_id, Spend.at)
        .join(Attempt, Attempt.id == Spend.attempt_id)
        .where(Spend.at > start)
        .order_by(Spend.at.desc())
    )
    if stop is not None:
        query = query.where(Attempt.started_at < stop)
    if site is not None:
        query = query.where(func.coalesce(Attempt.site, default) == site)
    return query


async def count(
    session: AsyncSession,
    site: str | None,
    start: datetime,
    stop: datetime | None,
    *,
    default: str,
    most: int,
) -> tuple[int, int]:
    """The number of billed attempts at a site, or at all, within some time, and of their runs.

    Args:
        session: Database session.
        site: Name of the site; None for all.
        start: Start of the time.
        stop: End of the time, exclusive; None without one.
        default: Name of the site of attempts without one.
        most: Number of attempts after which counting ends.
    """
    rows = _covered(site, start, stop, default).limit(most).subquery()
    query = select(func.count(), func.count(rows.c.run_id.distinct())).select_from(rows)
    row = (await session.execute(query)).one()
    return row[0], row[1]


async def newest(
    session: AsyncSession,
    site: str | None,
    start: datetime,
    stop: datetime | None,
    *,
    default: str,
    most: int,
) -> list[Any]:
    """The runs of the newest of these attempts: rows of id, name and project."""
    rows = _covered(site, start, stop, default).limit(most).subquery()
    query = (
        select(Run.id, Run.name, Project.name.label("project"))
        .join(Project, Project.id == Run.project_id)
        .where(Run.id.in_(select(rows.c.run_id)))
        .order_by(Run.created_at.desc(), Run.id)
    )
    return list((await session.execute(query)).all())
