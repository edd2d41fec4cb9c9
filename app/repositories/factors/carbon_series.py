"""SQL of hourly carbon intensities: series are append-only, and added as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from models import CarbonHour, CarbonSeries

CHUNK = 5_000


@dataclass(frozen=True)
class Extent:
    """Number of hours of a series, with the first and the last."""

    hours: int
    first: datetime
    last: datetime


async def add(
    session: AsyncSession, series: CarbonSeries, g_per_kwh: Mapping[datetime, float]
) -> None:
    session.add(series)
    await session.flush()
    rows = [
        {"series_id": series.id, "hour": hour, "g_per_kwh": value}
        for hour, value in g_per_kwh.items()
    ]
    for start in range(0, len(rows), CHUNK):
        await session.execute(insert(CarbonHour), rows[start : start + CHUNK])


async def by_content(
    session: AsyncSession, zone: str, basis: str, content_sha256: str
) -> CarbonSeries | None:
    """The latest series of a zone and basis with exactly this content."""
    query = (
        select(CarbonSeries)
        .where(
            CarbonSeries.zone == zone,
            CarbonSeries.basis == basis,
            CarbonSeries.content_sha256 == content_sha256,
        )
        .order_by(CarbonSeries.created_at.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def hours_of_zone(
    session: AsyncSession, zone: str, hours: Sequence[datetime], as_of: datetime | None
) -> dict[datetime, tuple[float, CarbonSeries]]:
    """The intensity of each hour, from the latest import that contains it."""
    if not hours:
        return {}
    query = (
        select(CarbonHour.hour, CarbonHour.g_per_kwh, CarbonSeries)
        .join(CarbonSeries, CarbonSeries.id == CarbonHour.series_id)
        .where(
            CarbonSeries.zone == zone,
            CarbonHour.hour >= min(hours),
            CarbonHour.hour <= max(hours),
        )
    )
    if as_of is not None:
        query = query.where(CarbonSeries.created_at <= as_of)
    query = query.order_by(CarbonSeries.created_at, CarbonSeries.id)
    requested = set(hours)
    rows = (await session.execute(query)).all()
    # In the order of import: for each hour, the last value stays.
    return {hour: (value, series) for hour, value, series in rows if hour in requested}


async def page(
    session: AsyncSession,
    *,
    zone: str | None,
    before: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[tuple[CarbonSeries, Extent]]:
    """Series with their extents, newest first."""
    extent = (
        select(
            CarbonHour.series_id,
            func.count().label("hours"),
            func.min(CarbonHour.hour).label("first"),
            func.max(CarbonHour.hour).label("last"),
        )
        .group_by(CarbonHour.series_id)
        .subquery()
    )
    query = select(CarbonSeries, extent.c.hours, extent.c.first, extent.c.last).join(
        extent, extent.c.series_id == CarbonSeries.id
    )
    if zone is not None:
        query = query.where(CarbonSeries.zone == zone)
    if before is not None:
        query = query.where(tuple_(CarbonSeries.created_at, CarbonSeries.id) < tuple_(*before))
    query = query.order_by(CarbonSeries.created_at.desc(), CarbonSeries.id.desc()).limit(limit)
    rows = (await session.execute(query)).all()
    return [(series, Extent(hours, first, last)) for series, hours, first, last in rows]
