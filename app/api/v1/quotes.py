"""Quotes: predicted cost of work, and their accuracy."""

from __future__ import annotations

from collections.abc import Mapping

from app.api.access import READ, SEE_RUN
from app.api.body import validated
from app.api.branches import Branch
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
from app.services.quoting import scoring
from app.services.runs import quotes

router = Branch(tags=["quotes"])


@router.post(
    "/quotes",
    dependencies=[READ],
    summary="Estimate the price of work",
    responses=problems(*BODY),
    openapi_extra=request_body(
        QuoteRequest,
        {"eight GPUs": QUOTE, "a run": {"run": PIPELINE_RUN}},
        "Devices, power and hours; or `run`, the description of a run.",
    ),
)
async def create_quote(
    session: CurrentSession, caller: Caller, body: Body
) -> QuoteRead | RunQuoteRead:
    """Estimates the price from your own figures, like `pricetag estimate`, or quotes a run from
    similar runs of the lab. Nothing is reserved.
    """
    if isinstance(body, Mapping) and "run" in body:
        return await quotes.quote_run(session, caller, body)
    return quotes.quote(validated(QuoteCreate, body))


@router.get(
    "/quotes/score",
    dependencies=[READ],
    summary="Show the accuracy of quotes",
    responses=problems(),
)
async def get_quote_score(session: CurrentSession, caller: Caller) -> ScoreRead:
    """Compares quotes with price tags over the latest 10,000 scored runs, by method, similarity,
    pool and quantity: median error factor, bias, and share of actual values in the 95% interval.
    """
    return await scoring.scores(session)


@router.get(
    "/runs/{run_id}/quote",
    dependencies=[SEE_RUN],
    summary="Show the quote of a run",
    responses=problems(404),
)
async def get_run_quote(session: CurrentSession, caller: Caller, run_id: RunId) -> StoredQuoteRead:
    """The quote made when the run was posted, the projection while it runs, and the comparison
    with the price tag once it has ended.
    """
    return await quotes.stored(session, caller, run_id)
