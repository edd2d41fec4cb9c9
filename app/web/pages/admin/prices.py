"""The price book: a table, a form, and files."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from app.api.access import ADMIN
from app.api.deps import Caller, CurrentSession
from app.schemas.common import StoredName
from app.schemas.prices import PriceCreate, PriceEntered, PriceImport, PricePage, PricesImported
from app.services.errors import InvalidError, NotFoundError
from app.services.factors import price_book
from app.services.factors.price_files import COLUMNS
from app.web.asked import Asked, asking
from app.web.forms import Filled, Form
from app.web.links import rel
from app.web.parameters import ListQuery
from app.web.rendering import page_router, render, section
from app.web.submitting import Rejected, read_model, submit
from app.web.uploads import Upload
from app.web.views.admin import prices as price_views
from app.web.views.forms import FormView

router = page_router()
IN_ADMIN = section("show_admin")
DATES = ("valid_from", "valid_to")
NEW = FormView({"kind": "on_demand", "currency": "USD"})


class PricesQuery(ListQuery):
    """Filters of the listed prices."""

    accelerator: Filled[StoredName] = Field(None, title="Accelerator")


AskedPrices = Annotated[Asked[PricesQuery], Depends(asking(PricesQuery))]


@router.get("/admin/prices", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_prices(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedPrices
) -> Response:
    """A page of the price book, newest first."""
    query, page = asked.query, PricePage(items=[], next_cursor=None)
    try:
        page = await price_book.list_page(
            session, accelerator=query.accelerator, cursor=query.cursor, limit=query.limit
        )
    except (InvalidError, NotFoundError) as error:
        asked = asked.rejected(error)
    return render(
        request,
        "admin/prices.html",
        status=asked.status,
        tab="show_prices",
        form=asked.form,
        prices=price_views.rows(page.items),
        next_cursor=page.next_cursor,
        limit=query.limit,
        accelerator=query.accelerator,
    )


@router.get("/admin/prices/new", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_new_price(request: Request, caller: Caller) -> Response:
    """The form of a new price."""
    return _new_price(request, NEW)


def _new_price(request: Request, form: FormView, status: int = 200) -> Response:
    return render(
        request,
        "admin/price_new.html",
        status=status,
        tab="show_prices",
        form=form,
        kinds=price_views.KINDS,
    )


@router.post("/admin/prices", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def add_price(
    request: Request, session: CurrentSession, caller: Caller, form: Form
) -> Response:
    """Enters a price."""

    async def enter() -> PriceEntered:
        return await price_book.add(session, read_model(PriceCreate, form, dates=DATES), caller)

    result = await submit(session, form, enter)
    if isinstance(result, Rejected):
        return _new_price(request, result.form, result.status)
    return RedirectResponse(rel(request, "show_prices"), 303)


@router.get("/admin/prices/import", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def show_price_import(request: Request, caller: Caller) -> Response:
    """The form that imports a file of prices."""
    return _import(request, FormView({"format": "csv"}))


def _import(request: Request, form: FormView, status: int = 200) -> Response:
    return render(
        request,
        "admin/price_import.html",
        status=status,
        tab="show_prices",
        form=form,
        columns=COLUMNS,
    )


@router.post("/admin/prices/import", dependencies=[ADMIN], openapi_extra=IN_ADMIN)
async def add_prices(
    request: Request, session: CurrentSession, caller: Caller, form: Upload
) -> Response:
    """Enters all prices of a file, or none."""

    async def enter() -> PricesImported:
        return await price_book.import_file(session, read_model(PriceImport, form), caller)

    result = await submit(session, form, enter)
    if isinstance(result, Rejected):
        return _import(request, result.form, result.status)
    return RedirectResponse(rel(request, "show_prices"), 303)
