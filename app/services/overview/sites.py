"""The factors of every site in this hour: emissions and cost of a kWh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.db import Session
from app.repositories.factors import carbon_forecasts, carbon_series
from app.repositories.factors import sites as site_rows
from app.schemas.overview import SiteNow
from app.services.carbon import green_start
from app.services.factors import resolution
from app.services.factors.hours import hour_key
from app.services.factors.site_factors import factor_now
from app.settings import Settings

HOUR = timedelta(hours=1)
SHOWN_HOURS = 24
NO_FORECAST = "no forecast of these hours is stored (pricetag carbon fetch-forecast)"
NO_ZONE = "the site has no grid zone"


async def now_of_all(session: Session, settings: Settings, now: datetime) -> list[SiteNow]:
    """All sites by name; without any, the lab's own factors under the default name."""
    names = [site.name for site in await site_rows.all_sites(session)]
    return [
        await now_of(session, name, settings, now) for name in names or [resolution.DEFAULT_SITE]
    ]


async def now_of(session: Session, name: str, settings: Settings, now: datetime) -> SiteNow:
    """The factors of one site; of a name without a site, those of the lab."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    query = resolution.FactorQuery([], [], [hour], hour.year)
    sheet = await resolution.sheet(session, name, settings, query)
    by_kind = {
        kind: factor_now(kind, subject, source, sheet.factors, hour_key(hour))
        for (kind, subject), source in sheet.sources.items()
        if not subject
    }
    carbon = by_kind["carbon_location"]
    tariff = by_kind.get("tariff")
    zone = carbon.zone or (sheet.state.grid_zone if sheet.state else None)
    start = hour - SHOWN_HOURS * HOUR
    coming, provider = await _coming(session, zone, hour)
    return SiteNow(
        site=name,
        zone=zone,
        carbon=carbon,
        carbon_start=start,
        carbon_hours=await _past(session, zone, start),
        forecast_start=hour,
        forecast_hours=coming,
        forecast_provider=provider,
        forecast_reason=None if provider else NO_ZONE if zone is None else NO_FORECAST,
        pue=by_kind["pue"],
        tariff=tariff,
        tariff_reason=None if tariff else sheet.factors.electricity_reason,
    )


async def _past(session: Session, zone: str | None, start: datetime) -> list[float | None]:
    """The recorded intensities of the hours since a time, None where there is a gap."""
    if zone is None:
        return [None] * SHOWN_HOURS
    rows = await carbon_series.recorded_hours(session, zone, start, start + SHOWN_HOURS * HOUR)
    recorded = {row.hour: float(row.g_per_kwh) for row in rows}
    return [recorded.get(start + number * HOUR) for number in range(SHOWN_HOURS)]


async def _coming(
    session: Session, zone: str | None, start: datetime
) -> tuple[list[float | None], str | None]:
    """The intensities forecast since a time, None where the forecast has none; its provider."""
    row = None if zone is None else await carbon_forecasts.latest(session, zone, "average")
    forecast = {} if row is None else green_start.hours_of(row)
    hours = [forecast.get(start + number * HOUR) for number in range(SHOWN_HOURS)]
    is_covered = any(value is not None for value in hours)  # 0 g/kWh is a forecast, too
    return hours, row.provider if row is not None and is_covered else None
