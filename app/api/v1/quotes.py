"""Quotes: what work will cost, and how near such figures came."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter

from app.api.access import READ, SEE_RUN
from app.api.body import validated
from app.api.deps import Body, Caller, CurrentSession, RunId
from app.api.openapi import request_body
from app.api.v1.examples import PIPELINE_RUN, QUOTE
from app.api.v1.responses import BODY, problems
from app.schemas.quotes import (
    QuoteCreate,
    QuoteRead,
    QuoteRequest,
    RunQuoteRead,
    ScoreRead,
    StoredQuoteRead,
)
from app.services import quotes
from app.services.quoting import scoring

router = APIRouter(tags=["quotes"])


@router.post(
    "/quotes",
    operation_id="createQuote",
    dependencies=[READ],
    summary="The price of work without doing it",
    responses=problems(*BODY),
    openapi_extra=request_body(
        QuoteRequest,
        {"eight GPUs": QUOTE, "a run": {"run": PIPELINE_RUN}},
        "Devices, power and hours; or `run`, a run as it would be posted.",
    ),
)
async def create_quote(
    session: CurrentSession, caller: Caller, body: Body
) -> QuoteRead | RunQuoteRead:
    """The arithmetic of a price tag on figures of your own, as `pricetag estimate` does it; or
    the quote that a run would get, from the lab's own like runs. Nothing is booked.
    """
    if isinstance(body, Mapping) and "run" in body:
        return await quotes.quote_run(session, caller, body)
    return quotes.quote(validated(QuoteCreate, body))


@router.get(
    "/quotes/score",
    operation_id="getQuoteScore",
    dependencies=[READ],
    summary="How near quotes came",
    responses=problems(),
)
async def get_quote_score(session: CurrentSession, caller: Caller) -> ScoreRead:
    """Quotes against price tags of the newest 10,000 scored runs, by method, likeness, pool and
    quantity: median error as a factor, bias, and the share of actuals in the 95% interval.
    """
    return await scoring.scores(session)


@router.get(
    "/runs/{run_id}/quote",
    operation_id="getRunQuote",
    dependencies=[SEE_RUN],
    summary="The quote of a run",
    responses=problems(404),
)
async def get_run_quote(session: CurrentSession, caller: Caller, run_id: RunId) -> StoredQuoteRead:
    """What it was expected to use when it was posted, where it will end while it runs, and the
    quote against the price tag once it has ended.
    """
    return await quotes.stored(session, caller, run_id)
