"""Hourly carbon intensities of zones: imported or fetched, all or nothing."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx

from app.db import Session
from app.repositories.factors import carbon_series
from app.repositories.factors.carbon_series import Extent
from app.repositories.factors.writers import one_at_a_time
from app.schemas.audit import AuditAction
from app.schemas.carbon import (
    CarbonFetch,
    CarbonImport,
    CarbonImported,
    CarbonSeriesPage,
    CarbonSeriesRead,
    HourGap,
)
from app.services import cursors
from app.services.errors import ConflictError, InvalidError
from app.services.factors import sites
from app.services.factors.carbon_providers import LONGEST, TIMEOUT_S, Fetched, provider
from app.services.factors.hourly_csv import HOUR, gaps, read_hours
from app.services.people import audit
from app.services.principals import Principal
from app.settings import Settings
from models import CarbonSeries
from pricetag.catalog import grid_factor

TO = "enter carbon intensities"
_OTHER_BASIS = re.compile(r"market|marginal|forecast", re.I)


class InvalidSeriesError(InvalidError):
    """The series or the requested period is invalid."""

    code = "invalid-series"


class SeriesExistsError(ConflictError):
    """The same hours of the zone are already stored."""

    code = "series-exists"


async def import_file(session: Session, request: CarbonImport, by: Principal) -> CarbonImported:
    """Imports all hours of a file, or none.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        UnknownZoneError: If the catalog does not know the zone.
        InvalidSeriesError: If the basis is not location-based.
        MalformedFileError: If a line cannot be read; the message names line and column.
        SeriesExistsError: If the same hours of the zone are already stored.
    """
    by.require("admin", TO)
    if _OTHER_BASIS.search(request.basis):
        raise InvalidSeriesError(
            "basis: hourly series must be location-based averages; enter a contract's intensity as "
            "a factor of kind carbon_market. Marginal and forecast intensities are not supported.",
            field="basis",
        )
    zone = grid_zone(request.zone)
    fetched = Fetched(
        # Parsing years of hours takes a while and must not block the event loop.
        g_per_kwh=await asyncio.to_thread(read_hours, request.content, datetime.now(UTC)),
        basis=request.basis,
        source=request.source,
        source_url=request.source_url,
        licence=request.licence,
        relative_std_ratio=request.relative_std_ratio,
    )
    return await store(session, zone, fetched, by, action="imported")


async def ask(request: CarbonFetch, settings: Settings, by: Principal) -> Fetched:
    """Fetches a zone's hours from a provider, with no transaction open.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        UnknownZoneError: If the catalog does not know the zone.
        InvalidSeriesError: If the requested period is empty or too long.
        UnknownProviderError: If the provider does not exist.
        ProviderOffError: If the server has no token for the provider.
        ProviderFailedError: If the provider sends no usable response.
    """
    by.require("admin", TO)
    zone = grid_zone(request.zone)
    start, end = _span(request, datetime.now(UTC))
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        source = provider(request.provider, settings, client)
        return await source.fetch(request.provider_zone or provider_spelling(zone), start, end)


async def store(
    session: Session, zone: str, fetched: Fetched, by: Principal, *, action: AuditAction
) -> CarbonImported:
    """Stores a series; where two series have the same hour, the later one applies.

    Args:
        session: Committed by the caller.
        zone: Zone in the catalog's spelling.
        fetched: The hours and their source.
        by: Who enters them.
        action: Action recorded in the audit log.

    Raises:
        SeriesExistsError: If the same hours of the zone are already stored.
    """
    digest = content_sha256(fetched.g_per_kwh)
    await one_at_a_time(session, "carbon series")
    existing = await carbon_series.by_content(session, zone, fetched.basis, digest)
    if existing is not None:
        raise SeriesExistsError(
            f"These hours of {zone} were already entered on "
            f"{existing.created_at:%Y-%m-%d %H:%M} UTC (series {existing.id}).",
            field="content",
        )
    series = CarbonSeries(
        zone=zone,
        basis=fetched.basis,
        source=fetched.source,
        source_url=fetched.source_url,
        licence=fetched.licence,
        relative_std_ratio=fetched.relative_std_ratio,
        content_sha256=digest,
        entered_by=by.user_id,
    )
    await carbon_series.add(session, series, fetched.g_per_kwh)
    hours = sorted(fetched.g_per_kwh)
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
    """A page of series, newest first.

    Args:
        session: Database session, only read.
        zone: Only series of this zone.
        cursor: End of the previous page.
        limit: Maximum number of series.

    Raises:
        UnknownZoneError: If the catalog does not know the zone.
        CursorError: If the cursor does not belong to this list.
    """
    catalog_zone = sites.known_zone(zone, "zone")
    before = cursors.position(cursor, "carbon")
    rows = await carbon_series.page(session, zone=catalog_zone, before=before, limit=limit + 1)
    shown, following = cursors.page(rows, limit, lambda row: cursors.place("carbon", row[0]))
    items = [_read(series, extent) for series, extent in shown]
    return CarbonSeriesPage(items=items, next_cursor=following)


def grid_zone(zone: str) -> str:
    """A zone in the catalog's spelling.

    Raises:
        UnknownZoneError: If the catalog does not know it.
    """
    return str(sites.known_zone(zone, "zone"))


def provider_spelling(zone: str) -> str:
    """A zone of the catalog in the providers' spelling: two letters for a country."""
    return grid_factor(zone).alpha2 or zone


def content_sha256(g_per_kwh: Mapping[datetime, float]) -> str:
    """Fingerprint of the hours, independent of the file's formatting."""
    lines = (f"{hour.isoformat()},{value!r}\n" for hour, value in sorted(g_per_kwh.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _span(request: CarbonFetch, now: datetime) -> tuple[datetime, datetime]:
    """Full UTC hours; hours that are not over yet are dropped."""
    start = _hour_at_or_after(request.start)
    end = min(_hour_at_or_after(request.end), now.replace(minute=0, second=0, microsecond=0))
    if start >= end:
        raise InvalidSeriesError(
            "end: must be after start, which must be in the past.", field="end"
        )
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
