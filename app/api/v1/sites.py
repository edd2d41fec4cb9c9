"""Sites: where nodes stand, and what their energy is multiplied with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.api.access import READ, rule
from app.api.body import validated
from app.api.deps import Body, Caller, CurrentSession, Cursor, Held, Limit
from app.api.openapi import request_body
from app.api.v1.examples import FACTOR, SITE, SITE_CHANGE, TARIFF
from app.api.v1.responses import BODY, problems
from app.schemas.common import Moment, Name
from app.schemas.factors import FactorCreate, FactorEntered, FactorKind, FactorPage
from app.schemas.sites import SiteCreate, SiteFactors, SiteList, SiteRead, SiteUpdate
from app.services.factors import entry as factor_entry
from app.services.factors import site_factors, sites

KEEPERS = rule("admin", sites.TO)

router = APIRouter(tags=["factors"])

SiteName = Annotated[Name, Path(description="Name of the site.")]
AsOf = Annotated[Moment | None, Query(description="As the book stood then; now without it.")]


@router.post(
    "/sites",
    status_code=201,
    operation_id="createSite",
    dependencies=[KEEPERS],
    summary="Make a site",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(SiteCreate, {"Berlin": SITE}, "Name, grid zone, clocks, currency."),
)
async def create_site(session: CurrentSession, caller: Caller, body: Body) -> SiteRead:
    """Workers name it as `PRICETAG_SITE`. Needs the role admin."""
    return await sites.create(session, validated(SiteCreate, body), caller)


@router.get(
    "/sites", operation_id="listSites", dependencies=[READ], summary="Sites", responses=problems()
)
async def list_sites(session: CurrentSession, caller: Caller) -> SiteList:
    """Every site by name."""
    return await sites.list_all(session)


@router.get(
    "/sites/{name}",
    operation_id="getSite",
    dependencies=[READ],
    summary="A site and its factors",
    responses=problems(404, 409),
)
async def get_site(
    session: CurrentSession, held: Held, caller: Caller, name: SiteName, as_of: AsOf = None
) -> SiteFactors:
    """The factors that hold in this hour, each with its citation and who said so: the site,
    the lab, the server's settings or the catalog. With `as_of` only what had been entered by
    then; a time that has not come, or before the site was made, is refused.
    """
    return await site_factors.show(session, name, held.settings, as_of)


@router.patch(
    "/sites/{name}",
    operation_id="changeSite",
    dependencies=[KEEPERS],
    summary="Change a site",
    responses=problems(403, 404, *BODY),
    openapi_extra=request_body(SiteUpdate, {"another zone": SITE_CHANGE}, "What is to change."),
)
async def change_site(
    session: CurrentSession, caller: Caller, name: SiteName, body: Body
) -> SiteRead:
    """What is given is changed; the audit log keeps what it was, so that price tags can be
    worked out again as of an earlier day. Needs the role admin.
    """
    return await sites.change(session, name, validated(SiteUpdate, body), caller)


@router.post(
    "/sites/{name}/factors",
    status_code=201,
    operation_id="enterSiteFactor",
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
    """It holds before those that were entered earlier; none is ever changed, and price tags
    that were issued keep theirs. Needs the role admin.
    """
    return await factor_entry.enter(session, name, validated(FactorCreate, body), caller)


@router.post(
    "/factors",
    status_code=201,
    operation_id="enterFactor",
    dependencies=[KEEPERS],
    summary="Enter a factor of the lab",
    responses=problems(403, *BODY),
    openapi_extra=request_body(FactorCreate, {"PUE": FACTOR}, "The factor with its source."),
)
async def enter_factor(session: CurrentSession, caller: Caller, body: Body) -> FactorEntered:
    """The same for every site that has none of its own. Needs the role admin."""
    return await factor_entry.enter(session, None, validated(FactorCreate, body), caller)


@router.get(
    "/factors",
    operation_id="listFactors",
    dependencies=[READ],
    summary="Factors as they were entered",
    responses=problems(404),
)
async def list_factors(
    session: CurrentSession,
    caller: Caller,
    site: Annotated[Name | None, Query(description="Of this site alone.")] = None,
    kind: Annotated[FactorKind | None, Query(description="Of this kind alone.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> FactorPage:
    """The newest first; those that no longer hold are in it too."""
    return await factor_entry.list_page(session, site=site, kind=kind, cursor=cursor, limit=limit)
