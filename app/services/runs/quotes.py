"""Quotes on request: simple arithmetic, quotes for unposted runs, stored quotes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.db import Session
from app.repositories.attempts import executions
from app.repositories.quotes import quotes as quote_rows
from app.schemas.common import FieldProblem
from app.schemas.quotes import QuoteCreate, QuoteRead, RunQuoteRead, StoredQuoteRead
from app.services import access
from app.services.carbon import green_start
from app.services.errors import InvalidError, InvalidFieldsError, NotFoundError
from app.services.principals import Principal
from app.services.quoting import estimation as quoting
from app.services.quoting import projection
from app.services.runs import posting
from app.services.runs.responses import not_found
from app.settings import get_settings
from pricetag.accounting.bill.estimate import InvalidFigures, estimate
from pricetag.recipes import RunSpec


class QuoteNotFoundError(NotFoundError):
    """The run was posted before quotes existed."""

    code = "quote-not-found"


class InvalidQuoteError(InvalidError):
    """A figure is impossible."""

    code = "invalid-quote"

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(faults.values()), field=next(iter(faults)))
        self.errors = [FieldProblem(field=name, message=text) for name, text in faults.items()]


def quote(request: QuoteCreate) -> QuoteRead:
    """Energy, emissions and cost of devices that draw a given power for some hours.

    Raises:
        InvalidQuoteError: If a figure is impossible, for example a low price above the high one.

    Source:
        Strubell et al. 2019, section 2.
    """
    try:
        result = estimate(
            request.devices,
            request.device_power_w,
            request.hours,
            request.pue,
            request.grid_g_per_kwh,
            request.price_low,
            request.price_high,
            price_devices=request.price_devices,
            currency=request.currency,
        )
    except InvalidFigures as error:
        raise InvalidQuoteError({fault.field: str(fault) for fault in error.faults}) from error
    return QuoteRead.model_validate(asdict(result))


async def quote_run(
    session: Session, principal: Principal, body: Mapping[str, object]
) -> RunQuoteRead:
    """The quote that a run would get if it were posted now; nothing is reserved.

    Args:
        session: Database session, only read.
        principal: The caller. The quote is based on runs of open projects, and of the run's own
            project if the caller may see it.
        body: ``{run: ...}``, the run as plain data.

    Raises:
        InvalidQuoteError: If there are other fields besides ``run``.
        InvalidRunError: If the description is invalid; field paths begin with ``run``.
    """
    if beside := sorted(set(body) - {"run"}):
        raise InvalidQuoteError(
            {name: f"{name} cannot be combined with `run`; remove it" for name in beside}
        )
    _, quoted = await quote_description(session, principal, body["run"])
    return quoted


async def quote_description(
    session: Session, principal: Principal, run: object
) -> tuple[RunSpec, RunQuoteRead]:
    """A run's description, and the quote that it would get if it were posted now.

    Raises:
        InvalidRunError: If the description is invalid; field paths begin with ``run``.
        NoForecastError: If the run waits for a forecast, and there is none.
    """
    try:
        spec = posting.parse(run)
    except posting.InvalidRunError as error:
        raise posting.InvalidRunError(_within_run(error)) from error
    is_seen = await access.may_see_project(session, principal, spec.project)
    draft = await quoting.quote_for(session, spec, spec.project if is_seen else None)
    duration_s = draft.quantities["duration_s"].value
    try:
        chosen = await green_start.of_spec(session, get_settings(), spec, duration_s)
    except green_start.NoForecastError as error:
        raise green_start.NoForecastError(_within_run(error)) from error
    start = None if chosen is None else green_start.plan(chosen)
    content = await _naming_visible_runs(session, principal, draft.as_content())
    return spec, RunQuoteRead.model_validate({**content, "green_start": start})


def _within_run(error: InvalidFieldsError) -> list[FieldProblem]:
    return [
        fault.model_copy(update={"field": f"run.{fault.field}" if fault.field else "run"})
        for fault in error.errors
    ]


async def _naming_visible_runs(
    session: Session, principal: Principal, content: Mapping[str, Any]
) -> dict[str, Any]:
    named = [uuid.UUID(run_id) for run_id in content.get("runs", ())]
    visible = await access.visible_runs(session, principal, named)
    return {**content, "runs": [run_id for run_id in named if run_id in visible]}


async def stored(session: Session, principal: Principal, run_id: uuid.UUID) -> StoredQuoteRead:
    """A run's original quote, the projection of the run, and the accuracy of the quote.

    Raises:
        RunNotFoundError: If the run does not exist.
        QuoteNotFoundError: If it has no quote.
    """
    await access.require_run(session, principal, run_id)
    run = await executions.get_run(session, run_id)
    if run is None:
        raise not_found(run_id)
    quote = await quote_rows.get(session, run_id)
    if quote is None:
        raise QuoteNotFoundError("The run was submitted before quotes were made.", field="run_id")
    content = await _naming_visible_runs(session, principal, quote.content)
    return StoredQuoteRead.model_validate(
        {
            **content,
            "run_id": run_id,
            "created_at": quote.created_at,
            "projection": await projection.of_run(session, run, quote),
            "score": quote.score,
        }
    )
