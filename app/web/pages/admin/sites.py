"""Sites: where nodes are, with the factors that apply to their energy now."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import ADMIN
from app.api.deps import Caller, CurrentSession, ServerResources
from app.schemas.common import StoredName
from app.schemas.sites import SiteCreate, SiteFactors, SiteRead, SiteUpdate
from app.services.factors import site_factors, sites
from app.web.forms import Form
from app.web.links import rel
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, read_model, submit
from app.web.views.admin import factors as factor_views
from app.web.views.forms import FormView

router = page_router()
SiteName = Annotated[StoredName, Path(description="Name of the site.")]
IN_ADMIN = section("show_admin")
NEW = FormView({"time_zone": "UTC", "currency": "USD"})


@router.get("/admin/sites", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_sites(request: Request, session: CurrentSession, caller: Caller) -> Response:
    """All sites, by name."""
    listed = await sites.list_all(session)
    return render(request, "admin/sites.html", tab="show_sites", sites=listed.items)


@router.get("/admin/sites/new", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_new_site(request: Request, caller: Caller) -> Response:
    """The form of a new site."""
    return _new_site(request, NEW)


def _new_site(request: Request, form: FormView, status: int = 200) -> Response:
    return render(request, "admin/site_new.html", status=status, tab="show_sites", form=form)


@router.post("/admin/sites", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def add_site(
    request: Request, session: CurrentSession, caller: Caller, form: Form
) -> Response:
    """Creates a site."""

    async def create() -> SiteRead:
        return await sites.create(session, read_model(SiteCreate, form), caller)

    result = await submit(session, form, create)
    if isinstance(result, Rejected):
        return _new_site(request, result.form, result.status)
    return RedirectResponse(rel(request, "show_site", site=result.name), 303)


@router.get("/admin/sites/{site}", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_site(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    site: SiteName,
) -> Response:
    """A site with its factors of this hour."""
    factors = await site_factors.show(session, site, resources.settings)
    return _site(request, factors, _form(factors))


def _form(site: SiteRead) -> FormView:
    return FormView(
        {
            "description": site.description,
            "grid_zone": site.grid_zone or "",
            "time_zone": site.time_zone,
            "currency": site.currency,
        }
    )


def _site(request: Request, site: SiteFactors, form: FormView, status: int = 200) -> Response:
    factors, missing = factor_views.rows_now(site)
    return render(
        request,
        "admin/site.html",
        status=status,
        tab="show_sites",
        site=site,
        form=form,
        factors=factors,
        missing=missing,
    )


@router.post("/admin/sites/{site}", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def save_site(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    form: Form,
    site: SiteName,
) -> Response:
    """Changes a site."""

    async def change() -> SiteRead:
        return await sites.change(session, site, read_model(SiteUpdate, form), caller)

    changed = await submit(session, form, change)
    if isinstance(changed, Rejected):
        factors = await site_factors.show(session, site, resources.settings)
        return _site(request, factors, changed.form, changed.status)
    return RedirectResponse(rel(request, "show_site", site=site), 303)
