"""Changing a run: by whom, and canceling it."""

from __future__ import annotations

import uuid

from app.db import Session
from app.queue import entries
from app.repositories.attempts import attempts, executions
from app.schemas.runs import (
    RunAccepted,
)
from app.services import access
from app.services.attempts import abandoned, execution
from app.services.errors import (
    ConflictError,
    NotYourRunError,
    RunFinishedError,
)
from app.services.principals import Principal
from app.services.runs.responses import accepted, not_found, row_of
from models import Run
from pricetag.tag.measured import QUEUE


class MeasuredElsewhereError(ConflictError):
    """The run was not started by the queue, so that it can be neither stopped nor repeated here."""

    code = "measured-elsewhere"


async def lock_own(session: Session, principal: Principal, run_id: uuid.UUID, to: str) -> Run:
    """The run, locked for a change by its author or an admin.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If a member did not post it.
    """
    principal.require("member", f"{to} runs")
    await access.require_run(session, principal, run_id)
    run = await executions.lock_run(session, run_id)
    if run is None:
        raise not_found(run_id)
    if run.created_by != principal.user_id and not principal.has("admin"):
        raise NotYourRunError(f"Only the run's author or an admin can {to} it.")
    return run


class RunNotQueuedError(ConflictError):
    """The run has started or ended, so that its place in the queue cannot change."""

    code = "run-not-queued"


async def prioritize(
    session: Session, principal: Principal, run_id: uuid.UUID, priority: int
) -> RunAccepted:
    """Changes the priority of a queued run; among equal ones, the time of queuing decides.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If a member did not post it.
        RunNotQueuedError: If it does not wait any more; states its status.
    """
    run = await lock_own(session, principal, run_id, "prioritize")
    if run.status != "queued":
        raise RunNotQueuedError(
            f"The run is {run.status}: only the priority of a queued run can change."
        )
    run.priority = priority
    await entries.prioritize(session, run_id, priority)
    row = await row_of(session, run_id)
    return await accepted(session, row.run, row.project, row.experiment)


async def cancel(session: Session, principal: Principal, run_id: uuid.UUID) -> RunAccepted:
    """Cancels a queued run at once, and requests that a running one stops.

    A run that no queue started ends at once, as failed, with what has arrived of its journal.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If a member did not post it.
        RunFinishedError: If it has ended; states its status.
    """
    attempt = await attempts.lock_elsewhere(session, run_id)  # before its run, as everywhere
    run = await lock_open(session, principal, run_id)
    if run.origin == QUEUE:
        await execution.request_cancel(session, run_id)
    elif attempt is not None and attempt.ended_at is None:
        await abandoned.abandon(session, attempt, run, f"ended by {principal.name}")
    row = await row_of(session, run_id)
    return await accepted(session, row.run, row.project, row.experiment)


async def lock_open(session: Session, principal: Principal, run_id: uuid.UUID) -> Run:
    """A run that the principal may cancel, locked.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If a member did not post it.
        RunFinishedError: If it has ended; states its status.
    """
    run = await lock_own(session, principal, run_id, "cancel")
    if run.status not in {"queued", "running"}:
        if run.status == "cancelled":
            raise RunFinishedError("The run is already canceled.")
        raise RunFinishedError(f"The run has already {run.status} and cannot be canceled.")
    return run


def require_queued_origin(run: Run, to_be: str) -> None:
    """Requires that a run is the queue's.

    Raises:
        MeasuredElsewhereError: If it was measured elsewhere.
    """
    if run.origin != QUEUE:
        raise MeasuredElsewhereError(
            f"No worker executes this run (its origin is {run.origin}): it cannot be {to_be} here."
        )
