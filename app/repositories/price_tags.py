"""SQL of price tags: versions are added, never changed."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import PriceTag


async def last_version(session: AsyncSession, run_id: UUID) -> int:
    """0 when the run has no price tag."""
    query = select(func.coalesce(func.max(PriceTag.version), 0)).where(PriceTag.run_id == run_id)
    return (await session.execute(query)).scalar_one()


async def add(session: AsyncSession, tag: PriceTag) -> None:
    session.add(tag)
    await session.flush()


async def get(session: AsyncSession, run_id: UUID, version: int | None = None) -> PriceTag | None:
    """One version, the newest by default."""
    query = select(PriceTag).where(PriceTag.run_id == run_id)
    if version is not None:
        query = query.where(PriceTag.version == version)
    newest = query.order_by(PriceTag.version.desc()).limit(1)
    return (await session.execute(newest)).scalar_one_or_none()
