"""Creates the run of work that no queue started, once for each client-made ID.

Its attempts have no lease and belong to no worker: nobody but their sender ends them. There is one,
unless the run is a job of a Slurm cluster: each node and each restart of it has its own.
Its records go through ``app.services.attempts.ingestion``, as those of a worker do, and so its
price tag is made in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.attempts import attempts, executions
from app.repositories.attempts.executions import Event
from app.repositories.people import projects
from app.repositories.runs import runs
from app.schemas.intake import EARLIEST, ExternalRun
from app.services import access
from app.services.errors import ConflictError, InvalidError, NotYourRunError
from app.services.principals import Principal
from models import Attempt, Run
from pricetag.tag.measured import QUEUE, SLURM

ARRIVING = "records-arriving"
"""Code of the reason while the records of a run have not all arrived."""

MAX_AHEAD = timedelta(days=1)
"""How far a client's clock may be ahead of the server's."""


class IntakeConflictError(ConflictError):
    """The IDs of a run are those of another one."""

    code = "intake-conflict"


class ClockError(InvalidError):
    """The clock of the client is wrong, so that the time of the run is unknown."""

    code = "intake-clock"


@dataclass(frozen=True, slots=True)
class Opened:
    """A run that no queue started, with its attempt; both are locked.

    Attributes:
        is_new: Whether it was created just now.
    """

    run: Run
    attempt: Attempt
    is_new: bool


async def open_run(session: Session, principal: Principal, external: ExternalRun) -> Opened:
    """The run with these IDs, created unless it exists; safe if called concurrently.

    Args:
        session: Committed by the caller.
        principal: Who sends it; its author.
        external: The run, as its own record describes it.

    Raises:
        RoleRequiredError: If the token may only read.
        NotAMemberError: If its project is a private one of others, or not that of the token.
        ClockError: If it began before the year 2000, or in the future.
        IntakeConflictError: If an ID belongs to another run.
        NotYourRunError: If somebody else sent the run.
    """
    principal.require_to_send()
    await attempts.lock_ids(session, [external.run_id, external.attempt_id])
    existing = await find(session, principal, external.attempt_id)
    if existing is not None:
        if existing.run.id != external.run_id or existing.run.origin != external.origin:
            raise IntakeConflictError(
                f"Attempt {external.attempt_id} belongs to the run {existing.run.id} of origin "
                f"{existing.run.origin}, not to {external.run_id} of origin {external.origin}."
            )
        return existing
    run = await executions.lock_run(session, external.run_id)
    if run is not None and run.origin == external.origin == SLURM:
        _check_clock(external.started_at)
        return await _join(session, principal, external, run)
    if run is not None:
        raise IntakeConflictError(
            f"Run {external.run_id} exists with another attempt than {external.attempt_id}."
        )
    _check_clock(external.started_at)
    return await _create(session, principal, external)


async def find(session: Session, principal: Principal, attempt_id: UUID) -> Opened | None:
    """The run of an attempt that the principal has sent, locked; None if there is none.

    Raises:
        RoleRequiredError: If the token may only read.
        NotAMemberError: If its project is hidden from the principal, or not that of the token.
        NotYourRunError: If somebody else sent it.
        IntakeConflictError: If the attempt is that of a worker.
    """
    principal.require_to_send()
    row = await attempts.lock_with_run(session, principal.viewer, attempt_id)
    if row is None:
        return None
    attempt, run, is_seen = row
    if run.created_by != principal.user_id and not principal.has("admin"):
        raise NotYourRunError("Only the user who sent this run can continue to send it.")
    if not is_seen:
        project, _ = await executions.names_of(session, run)
        await access.require_project_to_post(session, principal, project)
    if run.origin == QUEUE:
        raise IntakeConflictError(f"Attempt {attempt_id} is one of this server's workers.")
    return Opened(run, attempt, is_new=False)


async def _join(session: Session, principal: Principal, external: ExternalRun, run: Run) -> Opened:
    """Adds an attempt to a run that is a job: one of another node, step or restart.

    The run keeps its name, project and status until the attempt ends.

    Raises:
        NotAMemberError: If the project is a private one of others, or not that of the token.
        NotYourRunError: If somebody else sent the run.
    """
    if run.created_by != principal.user_id and not principal.has("admin"):
        raise NotYourRunError("Only the user who sent this run can add attempts to it.")
    project, _ = await executions.names_of(session, run)
    await access.require_project_to_post(session, principal, project)
    started_at = external.started_at.astimezone(UTC)
    run.created_at = min(run.created_at, started_at)
    run.started_at = min(run.started_at or started_at, started_at)
    number = await executions.last_attempt_number(session, run.id) + 1
    attempt = _attempt(external, run, number)
    await attempts.add_started(session, attempt)
    return Opened(run, attempt, is_new=True)


def _attempt(external: ExternalRun, run: Run, number: int) -> Attempt:
    return Attempt(
        id=external.attempt_id,
        run_id=run.id,
        number=number,
        worker=external.origin,
        node_name=external.node_name,
        site=external.site,
        devices=external.devices,
        started_at=external.started_at.astimezone(UTC),
    )


async def _create(session: Session, principal: Principal, external: ExternalRun) -> Opened:
    project_id = await access.require_project_to_post(session, principal, external.project)
    if project_id is None:
        project_id = await projects.ensure_project(session, external.project, principal.user_id)
    started_at = external.started_at.astimezone(UTC)
    run = Run(
        id=external.run_id,
        created_at=started_at,
        project_id=project_id,
        experiment_id=await projects.ensure_experiment(session, project_id, external.experiment),
        name=external.name,
        tags=list(dict.fromkeys(filter(None, external.tags))),
        kind="command",
        recipe=_recipe(external),
        gpus=len(external.devices),
        pool=external.origin,
        max_attempts=1,
        origin=external.origin,
        measured_by=external.measured_by,
        status="running",
        status_reason={"code": ARRIVING, "message": "its records have not all arrived yet"},
        created_by=principal.user_id,
        token_id=principal.token_id,
        started_at=started_at,
    )
    await runs.add(session, run)
    attempt = _attempt(external, run, 1)
    await attempts.add_started(session, attempt)
    payload: dict[str, Any] = {
        "status": "running",
        "reason": run.status_reason,
        "attempt": 1,
        "node": external.node_name,
    }
    await executions.add_events(session, run.id, [Event("status", datetime.now(UTC), payload)])
    return Opened(run, attempt, is_new=True)


def _recipe(external: ExternalRun) -> dict[str, Any]:
    """What was executed, in the form of a recipe."""
    stage: dict[str, Any] = {"kind": "command", "argv": external.command}
    return {"stages": [stage if external.command else {**stage, "name": external.name}]}


def _check_clock(started_at: datetime) -> None:
    latest = datetime.now(UTC) + MAX_AHEAD
    if not EARLIEST <= started_at <= latest:
        raise ClockError(
            f"The run began at {started_at.isoformat()} by the clock of its machine, which must be "
            f"wrong: by the server's it is {datetime.now(UTC).isoformat(timespec='seconds')}. "
            "Nothing is stored; hours of energy and factors would be those of another time.",
            field="started_at",
        )
