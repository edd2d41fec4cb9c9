"""Resumes canceled or failed runs at the point where they stopped."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from app.db import Session
from app.queue import entries
from app.repositories.attempts import executions
from app.repositories.attempts.executions import Event
from app.repositories.budgets import spend
from app.repositories.quotes import quotes as quote_rows
from app.schemas.runs import RunAccepted
from app.services.budgets import admission as budgets
from app.services.errors import ConflictError, RunFinishedError
from app.services.people import audit
from app.services.principals import Principal
from app.services.runs.changing import lock_own, require_queued_origin
from app.services.runs.responses import accepted
from models import Run

FURTHER_ATTEMPTS = 3
"""Number of additional attempts of a resumed run, as for a new run by default."""


class RunOpenError(ConflictError):
    """The run is queued or running: there is nothing to resume."""

    code = "run-open"


@dataclass(frozen=True, slots=True)
class _Figure:
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class _Remaining:
    """The rest of the run's quote after the usage of its attempts, for the budgets."""

    method: str
    facility_energy_kwh: _Figure
    co2e_kg: _Figure
    cost: _Figure


async def resume(session: Session, principal: Principal, run_id: uuid.UUID) -> RunAccepted:
    """Queues a canceled or failed run again: same run, same bill, new attempt.

    Finished stages and checkpoints on the node's disk are reused, so that only lost work is
    repeated. The budgets must admit the run again, with the rest of its quote.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If the principal is a member and not the run's author.
        RunOpenError: If it is queued or running.
        MeasuredElsewhereError: If no worker executes it.
        RunFinishedError: If it has succeeded.
        BudgetExceededError: If a budget does not admit the rest of its quote.
    """
    run = await lock_own(session, principal, run_id, "resume")
    if run.status in {"queued", "running"}:
        raise RunOpenError(f"The run is {run.status}: there is nothing to resume.")
    require_queued_origin(run, "resumed")
    if run.status == "succeeded":
        raise RunFinishedError("The run has already succeeded; submit its job again to repeat it.")
    warnings = await budgets.admit(session, run, await _remaining(session, run))
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
    return await accepted(session, run, project, experiment, warnings)


async def _queue(session: Session, run: Run, principal: Principal) -> None:
    number = await executions.last_attempt_number(session, run.id)
    run.max_attempts = max(run.max_attempts, number + FURTHER_ATTEMPTS)
    run.status = "queued"
    when = f"after attempt {number}" if number else "before its first attempt"
    message = f"resumed by {principal.name} {when}"
    run.status_reason = {"code": "resumed", "message": message}
    run.cancel_requested_at = run.finished_at = run.progress = None
    await session.flush()
    now = datetime.now(UTC)
    payload = {"status": "queued", "reason": run.status_reason}
    await executions.add_events(session, run.id, [Event("status", now, payload)])
    await entries.enqueue_run(session, run, not_before=run.not_before)


async def _remaining(session: Session, run: Run) -> _Remaining | None:
    quote = await quote_rows.get(session, run.id)
    if quote is None:
        return None
    ended = await spend.spent_by_runs(session, [run.id])
    money = quote.currency or ""
    paid = [row.cost for row in ended if row.currency == quote.currency]
    return _Remaining(
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
