"""SQL of hourly carbon intensities: series are append-only, and added as a whole."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, text, tuple_
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


@dataclass(frozen=True)
class MonthMean:
    """The recorded hours of one month.

    Attributes:
        g_per_kwh: Their mean intensity.
        hours: Number of them.
        relative_std_ratio: Largest relative error of their series.
        source: Sources of their series.
        basis: What their intensities include.
        license: Licenses of their series.
    """

    g_per_kwh: float
    hours: int
    relative_std_ratio: float
    source: str
    basis: str
    license: str


_LICENSE = CarbonSeries.licence.key
_LATEST = f"""
    SELECT DISTINCT ON (h.hour) h.hour, h.g_per_kwh, s.id AS series_id, s.relative_std_ratio,
      s.source, s.source_url, s.basis, s.{_LICENSE} AS license
    FROM carbon_series AS s JOIN carbon_hours AS h ON h.series_id = s.id
    WHERE s.zone = :zone AND h.hour >= :start AND h.hour < :stop
    ORDER BY h.hour, s.created_at DESC, s.id DESC
"""
"""Each hour from the latest import that contains it."""

_MONTHS = text(f"""
    SELECT date_trunc('month', hour, 'UTC') AS month, avg(g_per_kwh) AS g_per_kwh,
      CAST(count(*) AS int) AS hours, max(relative_std_ratio) AS relative_std_ratio,
      string_agg(DISTINCT source, '; ') AS source, string_agg(DISTINCT basis, '; ') AS basis,
      string_agg(DISTINCT license, '; ') AS license
    FROM ({_LATEST}) AS latest GROUP BY 1
""")


async def monthly_means(
    session: AsyncSession, zone: str, start: datetime, stop: datetime
) -> dict[datetime, MonthMean]:
    """The mean of the recorded hours in each UTC month of a range, by the month's beginning."""
    values = {"zone": zone, "start": start, "stop": stop}
    rows = (await session.execute(_MONTHS, values)).all()
    return {row.month: MonthMean(*row[1:]) for row in rows}


async def recorded_hours(
    session: AsyncSession, zone: str, start: datetime, stop: datetime
) -> Sequence[Any]:
    """Rows of each recorded hour: its value, and its series with source, basis and license."""
    values = {"zone": zone, "start": start, "stop": stop}
    return (await session.execute(text(_LATEST), values)).all()


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
