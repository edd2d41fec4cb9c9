"""The lab's price book."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.access import READ, rule
from app.api.body import validated
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit
from app.api.openapi import request_body
from app.api.v1.examples import OWNED_PRICE, PRICE, PRICE_FILE
from app.api.v1.responses import BODY, problems
from app.schemas.common import Name
from app.schemas.prices import PriceCreate, PriceEntered, PriceImport, PricePage, PricesImported
from app.services.factors import price_book

KEEPERS = rule("admin", price_book.TO)

router = APIRouter(prefix="/prices", tags=["prices"])


@router.post(
    "",
    status_code=201,
    operation_id="enterPrice",
    dependencies=[KEEPERS],
    summary="Enter a price",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(
        PriceCreate, {"cloud": PRICE, "owned": OWNED_PRICE}, "The price with its source."
    ),
)
async def enter_price(session: CurrentSession, caller: Caller, body: Body) -> PriceEntered:
    """A row is never changed: another follows it in time, or replaces it. Two of one id that
    would hold at the same time are refused. Needs the role admin.
    """
    return await price_book.add(session, validated(PriceCreate, body), caller)


@router.post(
    "/import",
    status_code=201,
    operation_id="importPrices",
    dependencies=[KEEPERS],
    summary="Enter a file of prices",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(PriceImport, {"CSV": PRICE_FILE}, "Format and text of the file."),
)
async def import_prices(session: CurrentSession, caller: Caller, body: Body) -> PricesImported:
    """All of its rows or none; errors name line and column. Needs the role admin."""
    return await price_book.import_file(session, validated(PriceImport, body), caller)


@router.get(
    "",
    operation_id="listPrices",
    dependencies=[READ],
    summary="The price book",
    responses=problems(),
)
async def list_prices(
    session: CurrentSession,
    caller: Caller,
    accelerator: Annotated[Name | None, Query(description="As the rows have it.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PricePage:
    """The newest first, those that were replaced too."""
    return await price_book.list_page(session, accelerator=accelerator, cursor=cursor, limit=limit)
