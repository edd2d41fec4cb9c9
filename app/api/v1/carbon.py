"""Hourly carbon intensities of zones, recorded and forecast."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.api.access import READ, rule
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import (
    Body,
    Caller,
    CurrentSession,
    Cursor,
    FromHour,
    Limit,
    ServerResources,
    ToHour,
)
from app.api.openapi import request_body
from app.api.v1.examples import CARBON_FETCH, CARBON_FILE, FORECAST_FETCH
from app.api.v1.responses import BODY, problems
from app.schemas.carbon import CarbonFetch, CarbonImport, CarbonImported, CarbonSeriesPage
from app.schemas.carbon_forecasts import ForecastFetch, ForecastRead, ForecastsRead
from app.schemas.carbon_hours import CarbonHoursRead
from app.schemas.common import StoredName
from app.schemas.sites import Zone
from app.services.carbon import carbon_hours, forecasts
from app.services.factors import carbon_series
from pricetag.recipes.not_before import LONGEST_WAIT_H

KEEPERS = rule("admin", carbon_series.TO)
OfSite = Annotated[
    StoredName | None, Query(description="Site; by default that of nodes without one.")
]

router = Branch(prefix="/carbon", tags=["factors"])


@router.post(
    "/import",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Import hourly carbon intensities",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(
        CarbonImport, {"CSV": CARBON_FILE}, "Zone, source and content of the file."
    ),
)
async def import_carbon(session: CurrentSession, caller: Caller, body: Body) -> CarbonImported:
    """Imports all hours of the file or none; errors name line and column, and gaps are listed.
    Where two imports have the same hour, the later one applies. Requires the role admin.
    """
    return await carbon_series.import_file(session, validated(CarbonImport, body), caller)


@router.post(
    "/fetch",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Fetch hourly carbon intensities",
    responses=problems(403, 409, 502, *BODY),
    openapi_extra=request_body(CarbonFetch, {"a day": CARBON_FETCH}, "Provider, zone and period."),
)
async def fetch_carbon(resources: ServerResources, caller: Caller, body: Body) -> CarbonImported:
    """Fetches hours from a provider for which the server has a token, and stores them. Requires
    the role admin.
    """
    request = validated(CarbonFetch, body)
    fetched = await carbon_series.ask(request, resources.settings, caller)
    zone = carbon_series.grid_zone(request.zone)
    async with resources.database.session_scope() as session:
        return await carbon_series.store(session, zone, fetched, caller, action="fetched")


@router.get(
    "",
    dependencies=[READ],
    summary="List series of hourly carbon intensities",
    responses=problems(),
)
async def list_carbon(
    session: CurrentSession,
    caller: Caller,
    zone: Annotated[Zone | None, Query(description="Only series of this zone.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CarbonSeriesPage:
    """Lists series with their first and last hour, newest first."""
    return await carbon_series.list_page(session, zone=zone, cursor=cursor, limit=limit)


@router.post(
    "/forecasts/fetch",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Fetch a forecast of carbon intensity",
    responses=problems(403, 409, 502, *BODY),
    openapi_extra=request_body(ForecastFetch, {"a zone": FORECAST_FETCH}, "Provider and zone."),
)
async def fetch_carbon_forecast(
    resources: ServerResources, caller: Caller, body: Body
) -> ForecastRead:
    """Fetches the forecast of a zone from a provider that is configured on the server, and keeps
    it; the same one is kept once. Requires the role admin.
    """
    request = validated(ForecastFetch, body)
    forecast = await forecasts.ask(request, resources.settings, caller)
    async with resources.database.session_scope() as session:
        return await forecasts.store(session, request, forecast, caller)


@router.get(
    "/forecasts",
    dependencies=[READ],
    summary="Show a site's forecasts of carbon intensity and the greenest start",
    responses=problems(404),
)
async def get_carbon_forecasts(
    session: CurrentSession,
    caller: Caller,
    resources: ServerResources,
    site: OfSite = None,
    within_h: Annotated[
        float,
        Query(ge=1, le=LONGEST_WAIT_H, description="Longest time until the start, in hours."),
    ] = 12,
    duration_h: Annotated[
        float, Query(gt=0, le=1000, description="Length of the run, in hours.")
    ] = 4,
) -> ForecastsRead:
    """The latest location-based forecast of the site's zone, the latest marginal one beside it,
    and the start from now on with the lowest location-based mean. A run posted with `not_before:
    greenest within 12 h` starts then.
    """
    return await forecasts.read(
        session, resources.settings, site, within_h=within_h, duration_h=duration_h
    )


@router.get(
    "/hours",
    dependencies=[READ],
    summary="Show a site's carbon intensity by hour with its load",
    responses=problems(404),
)
async def get_carbon_hours(
    session: CurrentSession,
    caller: Caller,
    resources: ServerResources,
    site: OfSite = None,
    start: FromHour = None,
    stop: ToHour = None,
    duration_h: Annotated[
        int, Query(ge=1, le=72, description="Length of the runs that could start later, in hours.")
    ] = 4,
    start_hour: Annotated[
        int | None,
        Query(ge=0, le=23, description="Hour of the day (UTC) of their start; by default, now."),
    ] = None,
) -> CarbonHoursRead:
    """Recorded intensities with their sources and gaps, the IT energy metered at the site, and
    the savings of a later start of runs, over the recorded hours. Covers at most 31 days.
    """
    return await carbon_hours.read(
        session,
        resources.settings,
        site,
        start=start,
        stop=stop,
        duration_h=duration_h,
        start_hour=start_hour,
    )
