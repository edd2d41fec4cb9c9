"""The lab's price book."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.api.access import READ, rule
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit
from app.api.openapi import request_body
from app.api.v1.examples import OWNED_PRICE, PRICE, PRICE_FILE
from app.api.v1.responses import BODY, problems
from app.schemas.common import StoredName
from app.schemas.prices import PriceCreate, PriceEntered, PriceImport, PricePage, PricesImported
from app.services.factors import price_book

KEEPERS = rule("admin", price_book.TO)

router = Branch(prefix="/prices", tags=["prices"])


@router.post(
    "",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Enter a price",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(
        PriceCreate, {"cloud": PRICE, "owned": OWNED_PRICE}, "The price with its source."
    ),
)
async def enter_price(session: CurrentSession, caller: Caller, body: Body) -> PriceEntered:
    """Adds a row to the price book. Rows never change: a later row continues an earlier one in
    time, or replaces it. Rows with the same ID must not apply at the same time. Requires the role
    admin.
    """
    return await price_book.add(session, validated(PriceCreate, body), caller)


@router.post(
    "/import",
    status_code=201,
    dependencies=[KEEPERS],
    summary="Import a file of prices",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(PriceImport, {"CSV": PRICE_FILE}, "Format and content of the file."),
)
async def import_prices(session: CurrentSession, caller: Caller, body: Body) -> PricesImported:
    """Imports all rows or none; errors name line and column. Requires the role admin."""
    return await price_book.import_file(session, validated(PriceImport, body), caller)


@router.get(
    "",
    dependencies=[READ],
    summary="List the price book",
    responses=problems(404),
)
async def list_prices(
    session: CurrentSession,
    caller: Caller,
    accelerator: Annotated[
        StoredName | None, Query(description="Only prices of this accelerator.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PricePage:
    """Lists all prices, including replaced ones, newest first.

    An accelerator that neither the price book, the catalog nor a node has is a 404, with similar
    names.
    """
    return await price_book.list_page(session, accelerator=accelerator, cursor=cursor, limit=limit)
