"""Forecasts of carbon intensity: fetched from a provider, kept, and shown with the best start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx

from app.db import Session
from app.repositories.factors import carbon_forecasts as rows
from app.schemas.carbon_forecasts import (
    ForecastFetch,
    ForecastHour,
    ForecastRead,
    ForecastsRead,
)
from app.services.carbon import green_start
from app.services.factors import monthly, sites
from app.services.factors.carbon_providers import TIMEOUT_S
from app.services.factors.carbon_series import TO, grid_zone, provider_spelling
from app.services.factors.forecast_providers import Forecast, provider
from app.services.factors.resolution import DEFAULT_SITE
from app.services.people import audit
from app.services.principals import Principal
from app.settings import Settings
from models import CarbonForecast


async def ask(request: ForecastFetch, settings: Settings, by: Principal) -> Forecast:
    """Fetches a zone's forecast from a provider, with no transaction open.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        UnknownZoneError: If the catalog does not know the zone.
        UnknownProviderError: If the provider does not exist.
        ProviderOffError: If the provider is not configured on the server.
        ProviderFailedError: If the provider sends no usable response.
    """
    by.require("admin", TO)
    zone = grid_zone(request.zone)
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        source = provider(request.provider, settings, client)
        return await source.forecast(
            request.provider_zone or provider_spelling(zone), datetime.now(UTC)
        )


async def store(
    session: Session, request: ForecastFetch, forecast: Forecast, by: Principal
) -> ForecastRead:
    """Stores a forecast; the same one, fetched again, is returned and not stored twice.

    Args:
        session: Committed by the caller.
        request: What was fetched.
        forecast: The forecast and its source.
        by: Who fetched it.
    """
    zone = grid_zone(request.zone)
    known = await rows.same_forecast(
        session, zone, forecast.signal, forecast.issued_at, request.provider
    )
    if known is not None:
        return shown(known)
    row = CarbonForecast(
        zone=zone,
        signal=forecast.signal,
        provider=request.provider,
        basis=forecast.basis,
        source=forecast.source,
        source_url=forecast.source_url,
        licence=forecast.licence,
        issued_at=forecast.issued_at,
        g_per_kwh={hour.isoformat(): value for hour, value in forecast.g_per_kwh.items()},
        entered_by=by.user_id,
    )
    await rows.add(session, row)
    await audit.record(
        session,
        by,
        action="fetched",
        object_kind="carbon_forecast",
        object_id=row.id,
        after={"zone": zone, "signal": row.signal, "provider": row.provider, "source": row.source},
    )
    return shown(row)


async def read(
    session: Session,
    settings: Settings,
    site: str | None,
    *,
    within_h: float,
    duration_h: float,
    now: datetime | None = None,
) -> ForecastsRead:
    """The latest forecasts of a site's zone, with the greenest start of a run.

    Args:
        session: Database session, only read.
        settings: Zone of the lab if the site has none.
        site: Name of the site; None for nodes without a site.
        within_h: Longest time until the start, in hours.
        duration_h: Length of the run, in hours.
        now: Present time.

    Raises:
        SiteNotFoundError: If there is no such site.
    """
    if site is not None and site != DEFAULT_SITE:
        await sites.require(session, site)
    state = await sites.state(session, site or DEFAULT_SITE)
    zone = monthly.zone_of(state, settings)
    average = marginal = plan = None
    reason: str | None = f"site {site or DEFAULT_SITE} has no grid zone; {green_start.NO_ZONE}"
    if zone is not None:
        average = await rows.latest(session, zone, "average")
        marginal = await rows.latest(session, zone, "marginal")
        chosen = green_start.choose(
            zone,
            average,
            marginal,
            earliest=now or datetime.now(UTC),
            within=timedelta(hours=within_h),
            duration=timedelta(hours=duration_h),
            duration_source="request",
        )
        if isinstance(chosen, str):
            reason = chosen
        else:
            plan, reason = green_start.plan(chosen), None
    return ForecastsRead(
        site=site or DEFAULT_SITE,
        zone=zone,
        average=None if average is None else shown(average),
        marginal=None if marginal is None else shown(marginal),
        greenest=plan,
        reason=reason,
    )


def shown(row: CarbonForecast) -> ForecastRead:
    """A stored forecast as the API has it."""
    return ForecastRead(
        id=row.id,
        zone=row.zone,
        signal="marginal" if row.signal == "marginal" else "average",
        provider=row.provider,
        basis=row.basis,
        source=row.source,
        source_url=row.source_url,
        licence=row.licence,
        issued_at=row.issued_at,
        created_at=row.created_at,
        hours=_hours(row),
    )


def _hours(row: CarbonForecast) -> Sequence[ForecastHour]:
    return [
        ForecastHour(hour=hour, g_per_kwh=value)
        for hour, value in sorted(green_start.hours_of(row).items())
    ]
