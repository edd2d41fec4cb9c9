"""Hourly carbon intensities of zones: imported or fetched, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx

from app.db import Session
from app.repositories import carbon_series
from app.repositories.carbon_series import Extent
from app.repositories.writers import one_at_a_time
from app.schemas.carbon import (
    CarbonFetch,
    CarbonImport,
    CarbonImported,
    CarbonSeriesPage,
    CarbonSeriesRead,
    HourGap,
)
from app.services import audit
from app.services.errors import ConflictError, InvalidError
from app.services.factors import sites
from app.services.factors.carbon_providers import LONGEST, TIMEOUT_S, Fetched, provider
from app.services.factors.entry import next_page, position
from app.services.factors.hourly_csv import HOUR, gaps, read_hours
from app.services.principals import Principal
from app.settings import Settings
from models import CarbonSeries
from pricetag.catalog import grid_factor

TO = "enter carbon intensities"
_OTHER_BASIS = re.compile(r"market|marginal|forecast", re.I)


class InvalidSeriesError(InvalidError):
    """A series that cannot be what it claims to be."""

    code = "invalid-series"


class SeriesExistsError(ConflictError):
    """The newest series of the zone says exactly this already."""

    code = "series-exists"


async def import_file(session: Session, wanted: CarbonImport, by: Principal) -> CarbonImported:
    """Takes all hours of a file, or none.

    Raises:
        RoleRequiredError: If the token is no admin's.
        UnknownZoneError: If the catalog does not know the zone.
        InvalidSeriesError: If the basis is not location-based.
        MalformedFileError: If a line cannot be read; it names line and column.
        SeriesExistsError: If the same hours of the zone were imported before.
    """
    by.require("admin", TO)
    if _OTHER_BASIS.search(wanted.basis):
        raise InvalidSeriesError(
            "basis: hourly series are location-based means; a contract's figure is a factor of "
            "kind carbon_market, and marginal or forecast intensities are not taken.",
            field="basis",
        )
    zone = grid_zone(wanted.zone)
    told = Fetched(
        # Years of hours take a while, and the loop has others to look after.
        g_per_kwh=await asyncio.to_thread(read_hours, wanted.content, datetime.now(UTC)),
        basis=wanted.basis,
        source=wanted.source,
        source_url=wanted.source_url,
        licence=wanted.licence,
        relative_std_ratio=wanted.relative_std_ratio,
    )
    return await store(session, zone, told, by, action="imported")


async def ask(wanted: CarbonFetch, settings: Settings, by: Principal) -> Fetched:
    """What a provider says of a zone; no transaction is open meanwhile.

    Raises:
        RoleRequiredError: If the token is no admin's.
        UnknownZoneError: If the catalog does not know the zone.
        InvalidSeriesError: If the time asked for is none, or too long.
        UnknownProviderError: If there is no such provider.
        ProviderOffError: If the server has no access to it.
        ProviderFailedError: If it gives no usable answer.
    """
    by.require("admin", TO)
    zone = grid_zone(wanted.zone)
    start, end = _span(wanted, datetime.now(UTC))
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        asked = provider(wanted.provider, settings, client)
        return await asked.fetch(wanted.provider_zone or _two_letters(zone), start, end)


async def store(
    session: Session, zone: str, told: Fetched, by: Principal, *, action: str
) -> CarbonImported:
    """Keeps a series; where two tell an hour, the later one holds.

    Args:
        session: Committed by the caller.
        zone: As the catalog writes it.
        told: The hours, and where they are from.
        by: Who enters them.
        action: For the audit log.

    Raises:
        SeriesExistsError: If the same hours of the zone were imported before.
    """
    digest = content_sha256(told.g_per_kwh)
    await one_at_a_time(session, "carbon series")
    known = await carbon_series.by_content(session, zone, told.basis, digest)
    if known is not None:
        raise SeriesExistsError(
            f"These hours of {zone} were entered on {known.created_at:%Y-%m-%d %H:%M} UTC "
            f"(series {known.id}).",
            field="content",
        )
    series = CarbonSeries(
        zone=zone,
        basis=told.basis,
        source=told.source,
        source_url=told.source_url,
        licence=told.licence,
        relative_std_ratio=told.relative_std_ratio,
        content_sha256=digest,
        entered_by=by.user_id,
    )
    await carbon_series.add(session, series, told.g_per_kwh)
    hours = sorted(told.g_per_kwh)
    read = _read(series, Extent(len(hours), hours[0], hours[-1]))
    await audit.record(
        session,
        by,
        action=action,
        object_kind="carbon_series",
        object_id=series.id,
        after=read.model_dump(exclude={"id", "created_at"}),
    )
    missing = [HourGap(first=gap.first, hours=gap.hours) for gap in gaps(hours)]
    return CarbonImported(**read.model_dump(), gaps=missing)


async def list_page(
    session: Session, *, zone: str | None, cursor: str | None, limit: int
) -> CarbonSeriesPage:
    """A page of series, the newest first.

    Args:
        session: Read alone.
        zone: Of this zone alone.
        cursor: Where the page before ended.
        limit: Most series.

    Raises:
        UnknownZoneError: If the catalog does not know the zone.
        CursorError: If the cursor is not of this list.
    """
    known = sites.known_zone(zone, "zone")
    before = position(cursor, "carbon")
    rows = await carbon_series.page(session, zone=known, before=before, limit=limit + 1)
    items = [_read(series, extent) for series, extent in rows[:limit]]
    last = items[-1] if len(rows) > limit else None
    return CarbonSeriesPage(items=items, next_cursor=next_page("carbon", last))


def grid_zone(zone: str) -> str:
    """A zone as the catalog writes it.

    Raises:
        UnknownZoneError: If the catalog does not know it.
    """
    return str(sites.known_zone(zone, "zone"))


def _two_letters(zone: str) -> str:
    """Providers name countries by two letters."""
    return grid_factor(zone).alpha2 or zone


def content_sha256(g_per_kwh: Mapping[datetime, float]) -> str:
    """Fingerprint of the hours, however their file was written."""
    lines = (f"{hour.isoformat()},{value!r}\n" for hour, value in sorted(g_per_kwh.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _span(wanted: CarbonFetch, now: datetime) -> tuple[datetime, datetime]:
    """Whole UTC hours; those that are not over yet are left out."""
    start = _hour_at_or_after(wanted.start)
    end = min(_hour_at_or_after(wanted.end), now.replace(minute=0, second=0, microsecond=0))
    if start >= end:
        raise InvalidSeriesError("end: must be after start, and start in the past.", field="end")
    if end - start > LONGEST:
        raise InvalidSeriesError(f"end: at most {LONGEST.days} days after start.", field="end")
    return start, end


def _hour_at_or_after(moment: datetime) -> datetime:
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if hour == moment else hour + HOUR


def _read(series: CarbonSeries, extent: Extent) -> CarbonSeriesRead:
    return CarbonSeriesRead(
        id=series.id,
        zone=series.zone,
        basis=series.basis,
        source=series.source,
        source_url=series.source_url,
        licence=series.licence,
        relative_std_ratio=series.relative_std_ratio,
        content_sha256=series.content_sha256,
        hours=extent.hours,
        first=extent.first,
        last=extent.last,
        created_at=series.created_at,
    )
