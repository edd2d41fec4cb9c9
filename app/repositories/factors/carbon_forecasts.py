"""SQL of forecasts of carbon intensity, and of the starts chosen by them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models import CarbonForecast, GreenStart


async def add(session: AsyncSession, forecast: CarbonForecast) -> None:
    session.add(forecast)
    await session.flush()


async def latest(session: AsyncSession, zone: str, signal: str) -> CarbonForecast | None:
    """The latest forecast of a zone."""
    query = (
        select(CarbonForecast)
        .where(CarbonForecast.zone == zone, CarbonForecast.signal == signal)
        .order_by(CarbonForecast.created_at.desc(), CarbonForecast.id.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def with_ids(
    session: AsyncSession, ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, CarbonForecast]:
    query = select(CarbonForecast).where(CarbonForecast.id.in_(ids))
    return {row.id: row for row in (await session.execute(query)).scalars()}


async def keep_start(session: AsyncSession, start: GreenStart) -> None:
    session.add(start)
    await session.flush()


async def start_of(session: AsyncSession, run_id: uuid.UUID) -> GreenStart | None:
    """How the start of a run was chosen."""
    return await session.get(GreenStart, run_id)


async def same_forecast(
    session: AsyncSession, zone: str, signal: str, issued_at: datetime | None, provider: str
) -> CarbonForecast | None:
    """The forecast that a provider issued at a time; None without that time."""
    if issued_at is None:
        return None
    query = select(CarbonForecast).where(
        CarbonForecast.zone == zone,
        CarbonForecast.signal == signal,
        CarbonForecast.provider == provider,
        CarbonForecast.issued_at == issued_at,
    )
    return (await session.execute(query.limit(1))).scalar_one_or_none()
