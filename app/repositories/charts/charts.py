"""SQL of the store of charts, by the hash of their content."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import Chart, Project


async def project_ids(session: AsyncSession, names: Collection[str]) -> dict[str, uuid.UUID]:
    """IDs of projects by name; without those that do not exist."""
    if not names:
        return {}
    query = select(Project.name, Project.id).where(Project.name.in_(names))
    return {name: project_id for name, project_id in (await session.execute(query)).all()}


async def used(session: AsyncSession, hashes: Collection[str]) -> dict[str, datetime]:
    """When each of some charts was last used; without those that are not stored."""
    query = select(Chart.sha256, Chart.used_at).where(Chart.sha256.in_(hashes))
    return {sha256: used_at for sha256, used_at in (await session.execute(query)).all()}


async def put(
    session: AsyncSession, rows: Sequence[Mapping[str, Any]], *, now: datetime, again: timedelta
) -> None:
    """Stores charts; for stored ones, records the use unless it was recorded recently.

    Args:
        session: Committed by the caller.
        rows: `sha256`, `content` and `projects` of each chart.
        now: Current time.
        again: Time after which a use is noted again.
    """
    values = [{**row, "created_at": now, "used_at": now} for row in rows]
    statement = insert(Chart).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=[Chart.sha256],
        set_={"used_at": now},
        where=Chart.used_at < now - again,
    )
    await session.execute(statement)


async def get(session: AsyncSession, sha256: str) -> Chart | None:
    """A chart by its hash."""
    return await session.get(Chart, sha256)


async def mark_used(session: AsyncSession, sha256: str, *, now: datetime, again: timedelta) -> None:
    """Notes the use of a chart, unless it was noted recently."""
    statement = update(Chart).where(Chart.sha256 == sha256, Chart.used_at < now - again)
    await session.execute(
        statement.values(used_at=now).execution_options(synchronize_session=False)
    )


async def forget(
    session: AsyncSession,
    *,
    unused_since: datetime,
    once_since: datetime,
    once: timedelta,
    most: int,
) -> int:
    """Deletes charts that were not used since a time, and all but the most recently used ones.

    Args:
        session: Committed by the caller.
        unused_since: Charts that were not used since then are deleted.
        once_since: The same for charts whose last use was soon after they were made.
        once: Time after creation that counts as soon.
        most: Maximum number of charts that stay.

    Returns:
        Number of deleted charts.
    """
    too_many = select(Chart.used_at).order_by(Chart.used_at.desc()).offset(most).limit(1)
    statement = delete(Chart).where(
        or_(
            Chart.used_at < unused_since,
            and_(Chart.used_at < once_since, Chart.used_at < Chart.created_at + once),
            Chart.used_at <= too_many.scalar_subquery(),
        )
    )
    deleted = await session.execute(statement.returning(func.length(Chart.sha256)))
    return len(deleted.all())
