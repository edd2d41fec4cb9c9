"""SQL of the price book: append-only."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from models import Price


async def add_all(session: AsyncSession, prices: Iterable[Price]) -> None:
    session.add_all(list(prices))
    await session.flush()


async def known(session: AsyncSession, as_of: datetime | None = None) -> Sequence[Price]:
    """All rows entered until ``as_of``, oldest first."""
    query = select(Price)
    if as_of is not None:
        query = query.where(Price.created_at <= as_of)
    query = query.order_by(Price.created_at, Price.id)
    return (await session.execute(query)).scalars().all()


async def of_price_ids(session: AsyncSession, price_ids: Iterable[str]) -> Sequence[Price]:
    query = select(Price).where(Price.price_id.in_(list(price_ids)))
    return (await session.execute(query.order_by(Price.created_at, Price.id))).scalars().all()


async def accelerators(session: AsyncSession) -> Sequence[str]:
    """Every accelerator that has a price, in alphabetical order."""
    query = select(Price.accelerator).distinct().order_by(Price.accelerator)
    return (await session.execute(query)).scalars().all()


async def page(
    session: AsyncSession,
    *,
    accelerator: str | None,
    before: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[Price]:
    """Rows, newest first."""
    query = select(Price)
    if accelerator is not None:
        query = query.where(func.lower(Price.accelerator) == accelerator.lower())
    if before is not None:
        query = query.where(tuple_(Price.created_at, Price.id) < tuple_(*before))
    query = query.order_by(Price.created_at.desc(), Price.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()
