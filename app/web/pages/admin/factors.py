"""Factors as entered, and new ones with a preview of their effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, get_args

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from app.api.access import ADMIN
from app.api.deps import FOREIGN_QUERY, Caller, CurrentSession, ServerResources
from app.schemas.common import StoredName
from app.schemas.factor_preview import FactorPreview
from app.schemas.factors import FactorCreate, FactorEntered, FactorPage
from app.services.errors import InvalidError, NotFoundError
from app.services.factors import entry, sites
from app.services.factors.kinds import KINDS as RULES
from app.services.repricing import factor_preview
from app.web.asked import Asked, asking
from app.web.choices import Choices
from app.web.forms import Filled, Form
from app.web.links import rel
from app.web.parameters import ListQuery
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, read_model, submit
from app.web.views.admin import factors as factor_views
from app.web.views.forms import FormView
from pricetag.accounting.bill.factor_kinds import FactorKind
from pricetag.accounting.quantity.quantity import SOURCES

router = page_router()
IN_ADMIN = section("show_admin")
DATES = ("valid_from", "valid_to")
EVIDENCE = tuple((source, source) for source in SOURCES)
KINDS = tuple(factor_views.KINDS.items())
NEW = {"kind": "pue", "evidence": "estimated", "licence": "the lab's own figure"}


class FactorsQuery(ListQuery):
    """Filters of the listed factors."""

    choices: ClassVar[Choices] = {"kind": factor_views.KINDS}
    site: Filled[StoredName] = Field(None, title="Site")
    kind: Filled[FactorKind] = Field(None, title="Kind")


AskedFactors = Annotated[Asked[FactorsQuery], Depends(asking(FactorsQuery))]


@router.get("/admin/factors", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_factors(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedFactors
) -> Response:
    """A page of the factors as they were entered, newest first."""
    query, page = asked.query, FactorPage(items=[], next_cursor=None)
    try:
        page = await entry.list_page(
            session, site=query.site, kind=query.kind, cursor=query.cursor, limit=query.limit
        )
    except (InvalidError, NotFoundError) as error:
        asked = asked.rejected(error)
    names = [each.name for each in (await sites.list_all(session)).items]
    kinds = [(value, factor_views.KINDS[value]) for value in get_args(FactorKind)]
    return render(
        request,
        "admin/factors.html",
        status=asked.status,
        tab="show_factors",
        form=asked.form,
        factors=factor_views.rows_entered(page.items),
        next_cursor=page.next_cursor,
        limit=query.limit,
        site=query.site,
        kind=query.kind,
        kinds=[("", "all"), *kinds],
        sites=[("", "all"), *((name, name) for name in names)],
    )


@router.get("/admin/factors/new", dependencies=[ADMIN], openapi_extra={**IN_ADMIN, **FOREIGN_QUERY})
async def show_new_factor(
    request: Request, session: CurrentSession, resources: ServerResources, caller: Caller
) -> Response:
    """The form of a new factor; with a value, also its effect."""
    typed = {name: text.strip() for name, text in request.query_params.items()}
    fields = NEW | typed
    if not (typed.get("value") or typed.get("source")):
        return await _new_factor(request, session, FormView(fields))

    async def look() -> FactorPreview:
        factor = read_model(FactorCreate, _of_factor(fields), dates=DATES)
        site = fields.get("site") or None
        return await factor_preview.preview(session, site, factor, caller, resources.settings)

    result = await submit(session, fields, look)
    if isinstance(result, Rejected):
        return await _new_factor(request, session, result.form, result.status)
    is_factor = RULES[result.kind].multiplicative
    preview = factor_views.preview(
        result, fields.get("evidence") or "estimated", multiplicative=is_factor
    )
    return await _new_factor(request, session, FormView(fields), preview=preview)


def _of_factor(fields: Mapping[str, str]) -> Mapping[str, str]:
    return {name: text for name, text in fields.items() if name != "site"}


async def _new_factor(
    request: Request, session: CurrentSession, form: FormView, status: int = 200, **more: Any
) -> Response:
    names = [each.name for each in (await sites.list_all(session)).items]
    return render(
        request,
        "admin/factor_new.html",
        status=status,
        tab="show_factors",
        form=form,
        kinds=KINDS,
        evidence=EVIDENCE,
        sites=(("", "the whole lab"), *((name, name) for name in names)),
        **{"preview": None, **more},
    )


@router.post("/admin/factors", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def add_factor(
    request: Request, session: CurrentSession, caller: Caller, form: Form
) -> Response:
    """Enters a factor."""
    site = form.get("site") or None

    async def enter() -> FactorEntered:
        factor = read_model(FactorCreate, _of_factor(form), dates=DATES)
        return await entry.enter(session, site, factor, caller)

    result = await submit(session, form, enter)
    if isinstance(result, Rejected):
        return await _new_factor(request, session, result.form, result.status)
    if site is not None:
        return RedirectResponse(rel(request, "show_site", site=site), 303)
    return RedirectResponse(rel(request, "show_factors"), 303)
