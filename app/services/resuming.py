"""Resuming cancelled or failed runs where they stopped."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from app import queue
from app.db import Session
from app.repositories import executions, spend
from app.repositories import quotes as quote_rows
from app.repositories.executions import Event
from app.schemas.runs import RunAccepted
from app.services import audit, runs
from app.services.budgets import admission as budgets
from app.services.errors import ConflictError, RunFinishedError
from app.services.principals import Principal
from models import Run

FURTHER_ATTEMPTS = 3
"""Further attempts of a resumed run, the default of a new run."""


class RunOpenError(ConflictError):
    """The run is queued or running: there is nothing to resume."""

    code = "run-open"


@dataclass(frozen=True, slots=True)
class _Figure:
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class _Left:
    """What the run's quote has left beyond what its attempts have used, for the budgets."""

    method: str
    facility_energy_kwh: _Figure
    co2e_kg: _Figure
    cost: _Figure


async def resume(session: Session, principal: Principal, run_id: uuid.UUID) -> RunAccepted:
    """Queues a run that was cancelled or has failed again: same run, same bill, a new attempt.

    Finished stages and checkpoints that are left on the node's disk are used, so that only what
    was lost is done again. It has to be admitted by the budgets once more, with what its quote
    has left.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If a member did not post it.
        RunOpenError: If it is queued or running.
        RunFinishedError: If it has succeeded.
        BudgetExceededError: If a budget does not admit the rest of its quote.
    """
    run = await runs.lock_own(session, principal, run_id, "resume")
    if run.status in {"queued", "running"}:
        raise RunOpenError(f"The run is {run.status}: there is nothing to resume.")
    if run.status == "succeeded":
        raise RunFinishedError("The run has succeeded already; post it again to repeat it.")
    warnings = await budgets.admit(session, run, await _left(session, run))
    ended_as = {"status": run.status, "reason": run.status_reason}
    await _queue(session, run, principal)
    await audit.record(
        session,
        principal,
        action="resumed",
        object_kind="run",
        object_id=run.id,
        before=ended_as,
        after={"status": run.status},
    )
    project, experiment = await executions.names_of(session, run)
    return runs.accepted(run, project, experiment, warnings)


async def _queue(session: Session, run: Run, principal: Principal) -> None:
    number = await executions.last_attempt_number(session, run.id)
    run.max_attempts = max(run.max_attempts, number + FURTHER_ATTEMPTS)
    run.status = "queued"
    message = f"resumed by {principal.name} after attempt {number}"
    run.status_reason = {"code": "resumed", "message": message}
    run.cancel_requested_at = run.finished_at = run.progress = None
    await session.flush()
    now = datetime.now(UTC)
    payload = {"status": "queued", "reason": run.status_reason}
    await executions.add_events(session, run.id, [Event("status", now, payload)])
    await queue.enqueue(
        session,
        run.id,
        pool=run.pool,
        gpus=run.gpus,
        priority=run.priority,
        not_before=run.not_before,
    )


async def _left(session: Session, run: Run) -> _Left | None:
    quote = await quote_rows.get(session, run.id)
    if quote is None:
        return None
    ended = await spend.spent_by_runs(session, [run.id])
    money = quote.currency or ""
    paid = [row.cost for row in ended if row.currency == quote.currency]
    return _Left(
        method=quote.method,
        facility_energy_kwh=_beyond(
            quote.facility_energy_kwh, [row.facility_energy_kwh for row in ended], "kWh"
        ),
        co2e_kg=_beyond(quote.co2e_kg, [row.co2e_kg for row in ended], "kg"),
        cost=_beyond(quote.cost, paid, money),
    )


def _beyond(
    promised: float | Decimal | None, used: Iterable[float | Decimal | None], unit: str
) -> _Figure:
    if promised is None:
        return _Figure(None, unit)
    return _Figure(max(float(promised) - sum(float(value or 0) for value in used), 0.0), unit)
