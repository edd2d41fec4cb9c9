"""Sites: where nodes are, and the factors that apply to their energy."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from app.api.access import READ, rule
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit, ServerResources
from app.api.openapi import request_body
from app.api.v1.examples import FACTOR, SITE, SITE_CHANGE, TARIFF
from app.api.v1.responses import BODY, problems
from app.schemas.common import Moment, StoredName
from app.schemas.factor_preview import FactorPreview
from app.schemas.factors import FactorCreate, FactorEntered, FactorPage
from app.schemas.sites import SiteCreate, SiteFactors, SiteList, SiteRead, SiteUpdate
from app.services.factors import entry as factor_entry
from app.services.factors import site_factors, sites
from app.services.repricing import factor_preview
from pricetag.accounting.bill.factor_kinds import FactorKind

KEEPERS = rule("admin", sites.TO)

router = Branch(tags=["factors"])

SiteName = Annotated[StoredName, Path(description="Name of the site.")]
AsOf = Annotated[
    Moment | None, Query(description="Use factors entered by this time; all by default.")
]


@router.post(
    "/sites",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Create a site",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(
        SiteCreate, {"Berlin": SITE}, "Name, grid zone, time zone, currency."
    ),
)
async def create_site(session: CurrentSession, caller: Caller, body: Body) -> SiteRead:
    """Creates a site; set `PRICETAG_SITE` on its workers. Requires the role admin."""
    return await sites.create(session, validated(SiteCreate, body), caller)


@router.get("/sites", dependencies=[READ], summary="List sites", responses=problems())
async def list_sites(session: CurrentSession, caller: Caller) -> SiteList:
    """Lists all sites by name."""
    return await sites.list_all(session)


@router.get(
    "/sites/{name}",
    dependencies=[READ],
    summary="Show a site with its factors",
    responses=problems(404, 409),
)
async def get_site(
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    name: SiteName,
    as_of: AsOf = None,
) -> SiteFactors:
    """The factors of the current hour, each with its citation and origin: the site, the lab, the
    server's settings or the catalog. With `as_of`, only factors entered by that time; a time in
    the future, or before the site was created, is rejected.
    """
    return await site_factors.show(session, name, resources.settings, as_of)


@router.patch(
    "/sites/{name}",
    dependencies=[KEEPERS],
    summary="Change a site",
    responses=problems(403, 404, *BODY),
    openapi_extra=request_body(SiteUpdate, {"another zone": SITE_CHANGE}, "The fields to change."),
)
async def change_site(
    session: CurrentSession, caller: Caller, name: SiteName, body: Body
) -> SiteRead:
    """Changes the supplied fields; the audit log keeps the former values, so that price tags
    can be re-priced as of an earlier day. Requires the role admin.
    """
    return await sites.change(session, name, validated(SiteUpdate, body), caller)


@router.post(
    "/sites/{name}/factors",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Enter a factor of a site",
    responses=problems(403, 404, *BODY),
    openapi_extra=request_body(
        FactorCreate, {"PUE": FACTOR, "tariff": TARIFF}, "The factor with its source."
    ),
)
async def enter_site_factor(
    session: CurrentSession, caller: Caller, name: SiteName, body: Body
) -> FactorEntered:
    """Takes precedence over factors entered earlier; factors never change, and issued price
    tags keep theirs. Requires the role admin.
    """
    return await factor_entry.enter(session, name, validated(FactorCreate, body), caller)


@router.post(
    "/factors",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Enter a factor of the lab",
    responses=problems(403, *BODY),
    openapi_extra=request_body(FactorCreate, {"PUE": FACTOR}, "The factor with its source."),
)
async def enter_factor(session: CurrentSession, caller: Caller, body: Body) -> FactorEntered:
    """Enters a factor for every site without its own factor. Requires the role admin."""
    return await factor_entry.enter(session, None, validated(FactorCreate, body), caller)


@router.post(
    "/sites/{name}/factors/preview",
    dependencies=[KEEPERS],
    summary="Preview a factor of a site",
    responses=problems(403, 404, *BODY),
    openapi_extra=request_body(
        FactorCreate, {"PUE": FACTOR, "tariff": TARIFF}, "The factor with its source."
    ),
)
async def preview_site_factor(
    session: CurrentSession, resources: ServerResources, caller: Caller, name: SiteName, body: Body
) -> FactorPreview:
    """Shows the effect of the factor: emissions and electricity of this month, and the number of
    runs whose figures re-pricing would change. Nothing is stored. Requires the role admin.
    """
    factor = validated(FactorCreate, body)
    return await factor_preview.preview(session, name, factor, caller, resources.settings)


@router.post(
    "/factors/preview",
    dependencies=[KEEPERS],
    summary="Preview a factor of the lab",
    responses=problems(403, *BODY),
    openapi_extra=request_body(FactorCreate, {"PUE": FACTOR}, "The factor with its source."),
)
async def preview_factor(
    session: CurrentSession, resources: ServerResources, caller: Caller, body: Body
) -> FactorPreview:
    """The same for a factor of the lab, at every site. Requires the role admin."""
    factor = validated(FactorCreate, body)
    return await factor_preview.preview(session, None, factor, caller, resources.settings)


@router.get(
    "/factors",
    dependencies=[READ],
    summary="List factors as entered",
    responses=problems(404),
)
async def list_factors(
    session: CurrentSession,
    caller: Caller,
    site: Annotated[StoredName | None, Query(description="Only factors of this site.")] = None,
    kind: Annotated[FactorKind | None, Query(description="Only factors of this kind.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FactorPage:
    """Lists factors, including expired ones, newest first."""
    return await factor_entry.list_page(session, site=site, kind=kind, cursor=cursor, limit=limit)
