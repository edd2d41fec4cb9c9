"""Series of hourly carbon intensities: imported from a file, or fetched from a provider."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from app.api.access import ADMIN
from app.api.deps import Caller, CurrentSession, ServerResources
from app.schemas.carbon import CarbonFetch, CarbonImport, CarbonImported, CarbonSeriesPage
from app.schemas.sites import Zone
from app.services.errors import InvalidError, NotFoundError
from app.services.factors import carbon_series
from app.web.asked import Asked, asking
from app.web.forms import Filled, Form
from app.web.links import rel
from app.web.parameters import ListQuery
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, read_model, submit
from app.web.uploads import Upload
from app.web.views.admin import carbon as carbon_views
from app.web.views.forms import FormView

router = page_router()
IN_ADMIN = section("show_admin")
DATES = ("start", "end")


class SeriesQuery(ListQuery):
    """Filters of the listed series."""

    zone: Filled[Zone] = Field(None, title="Grid zone")


AskedSeries = Annotated[Asked[SeriesQuery], Depends(asking(SeriesQuery))]


@router.get("/admin/carbon", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_carbon_series(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedSeries
) -> Response:
    """A page of the series, newest first."""
    query, page = asked.query, CarbonSeriesPage(items=[], next_cursor=None)
    try:
        page = await carbon_series.list_page(
            session, zone=query.zone, cursor=query.cursor, limit=query.limit
        )
    except (InvalidError, NotFoundError) as error:
        asked = asked.rejected(error)
    return render(
        request,
        "admin/carbon_series.html",
        status=asked.status,
        tab="show_carbon_series",
        form=asked.form,
        series=carbon_views.rows(page.items),
        next_cursor=page.next_cursor,
        limit=query.limit,
        zone=query.zone,
    )


@router.get("/admin/carbon/import", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_carbon_import(request: Request, caller: Caller) -> Response:
    """The form that imports a file of hours."""
    return _import(request, FormView({"relative_std_ratio": "0.1"}))


def _import(request: Request, form: FormView, status: int = 200) -> Response:
    return render(
        request, "admin/carbon_import.html", status=status, tab="show_carbon_series", form=form
    )


@router.post("/admin/carbon/import", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def add_carbon_series(
    request: Request, session: CurrentSession, caller: Caller, form: Upload
) -> Response:
    """Imports all hours of a file, or none."""

    async def enter() -> CarbonImported:
        return await carbon_series.import_file(session, read_model(CarbonImport, form), caller)

    result = await submit(session, form, enter)
    if isinstance(result, Rejected):
        return _import(request, result.form, result.status)
    return _to_series(request, result)


def _to_series(request: Request, imported: CarbonImported) -> Response:
    return RedirectResponse(rel(request, "show_carbon_series", {"zone": imported.zone}), 303)


@router.get("/admin/carbon/fetch", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_carbon_fetch(
    request: Request, resources: ServerResources, caller: Caller
) -> Response:
    """The form that fetches hours from a provider."""
    return _fetch(request, resources, FormView({"provider": "electricitymaps"}))


def _fetch(
    request: Request, resources: ServerResources, form: FormView, status: int = 200
) -> Response:
    return render(
        request,
        "admin/carbon_fetch.html",
        status=status,
        tab="show_carbon_series",
        form=form,
        is_on=resources.settings.electricity_maps_token is not None,
    )


@router.post("/admin/carbon/fetch", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def add_fetched_series(
    request: Request, resources: ServerResources, caller: Caller, form: Form
) -> Response:
    """Fetches hours from a provider, with no transaction open, and stores them."""

    async def fetch() -> CarbonImported:
        wanted = read_model(CarbonFetch, form, dates=DATES)
        fetched = await carbon_series.ask(wanted, resources.settings, caller)
        zone = carbon_series.grid_zone(wanted.zone)
        async with resources.database.session_scope() as session:
            return await carbon_series.store(session, zone, fetched, caller, action="fetched")

    result = await submit(None, form, fetch)
    if isinstance(result, Rejected):
        return _fetch(request, resources, result.form, result.status)
    return _to_series(request, result)
