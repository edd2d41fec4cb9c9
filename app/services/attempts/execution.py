"""Execution of runs by workers: claims, cancellation, recovery and node registration.

Nothing here commits: the caller that opened the session does, once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import Session
from app.queue import entries
from app.repositories.attempts import attempts, executions
from app.repositories.attempts.executions import Event
from app.repositories.nodes import registry
from app.services.attempts import lineage
from app.services.attempts.ingestion import PoisonedRecordsError, ingest
from app.services.attempts.leases import LeaseObserver, LeaseState, close_lost, reap, renew_leases
from app.services.budgets import admission as budgets
from app.services.budgets.watch import BudgetWatch, StopOrder
from app.services.errors import RunFinishedError, RunNotFoundError
from models import Attempt, Run
from pricetag.recipes import runs_program

__all__ = [
    "BudgetWatch",
    "Claim",
    "Demand",
    "LeaseObserver",
    "LeaseState",
    "OpenAttempt",
    "PoisonedRecordsError",
    "StopOrder",
    "cancel_queued",
    "claim",
    "close_lost",
    "demand",
    "ingest",
    "ingested",
    "open_attempts",
    "reap",
    "register_node",
    "renew_leases",
    "request_cancel",
    "requeue",
    "touch_node",
]


@dataclass(frozen=True, slots=True)
class Claim:
    """A run claimed by this worker, with its new attempt."""

    run_id: UUID
    attempt_id: UUID
    number: int
    max_attempts: int
    recipe: dict[str, Any]
    gpus: int
    pool: str
    name: str
    project: str
    experiment: str
    created_at: datetime
    upstream: dict[str, Any] | None = None  # the published model that the recipe starts from
    power_limit_w: float | None = None  # of each accelerator


@dataclass(frozen=True, slots=True)
class Demand:
    """Requirements of a run on the worker that takes it."""

    gpus: int
    runs_program: bool = False


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that has not ended."""

    attempt_id: UUID
    run_id: UUID
    number: int
    worker: str
    node_name: str
    ingested_seq: int
    started_at: datetime


async def demand(session: Session, run_id: UUID) -> Demand | None:
    """Requirements of a run on its worker; None if it must not start now."""
    needs = await executions.startable(session, run_id)
    return None if needs is None else Demand(needs.gpus, runs_program(needs.kind))


async def requeue(session: Session, run_id: UUID, *, delay_s: float = 0.0) -> bool:
    """Adds a queue entry for a run if it is still queued; returns whether it was."""
    run = await executions.lock_run(session, run_id)
    if run is None or run.status != "queued" or run.cancel_requested_at is not None:
        return False
    earliest = datetime.now(UTC) + timedelta(seconds=delay_s)
    not_before = max(earliest, run.not_before) if run.not_before is not None else earliest
    await entries.enqueue_run(
        session, run, not_before=not_before if delay_s > 0 or run.not_before is not None else None
    )
    return True


async def claim(
    session: Session,
    run_id: UUID,
    *,
    worker: str,
    node_name: str,
    devices: list[dict[str, Any]],
    site: str | None = None,
    lease_s: float | None = None,
) -> Claim | None:
    """Claims a queued run: it is running, in a new attempt, once the caller commits.

    If several workers try, one succeeds: the row lock decides, backed by a unique index.

    Args:
        session: Committed by the caller.
        run_id: The run of a queue entry.
        worker: Identity of the worker process.
        node_name: Name of the worker's node.
        devices: The accelerators that the worker reserved for the run.
        site: Site of the node, whose factors apply to the attempt.
        lease_s: Duration of the lease without renewal, in s: before it expires the worker ends
            the job itself; afterwards, others may start the run.

    Returns:
        The claim, or None if there is nothing to start: the run is unknown, canceled, running,
        finished, or not due yet; or one of its budgets is used up, and it is canceled now.
    """
    run = await executions.lock_run(session, run_id)
    if run is None or await executions.startable(session, run_id) is None:
        return None
    if (reason := await budgets.why_not_start(session, run)) is not None:
        await _cancel_now(session, run, reason)
        return None
    number = await executions.last_attempt_number(session, run_id) + 1
    attempt = Attempt(
        run_id=run_id,
        number=number,
        worker=worker,
        node_name=node_name,
        devices=devices,
        site=site,
        lease_s=lease_s,
    )
    await attempts.add(session, attempt)
    now = datetime.now(UTC)
    run.status = "running"
    run.status_reason = None
    run.progress = None
    run.started_at = run.started_at or now
    await session.flush()
    payload = {"status": "running", "reason": None, "attempt": number, "node": node_name}
    await executions.add_events(session, run_id, [Event("status", now, payload)])
    project, experiment = await executions.names_of(session, run)
    return Claim(
        run_id=run_id,
        attempt_id=attempt.id,
        number=number,
        max_attempts=run.max_attempts,
        recipe=run.recipe,
        gpus=run.gpus,
        pool=run.pool,
        name=run.name,
        project=project,
        experiment=experiment,
        created_at=run.created_at,
        upstream=await lineage.model_of(session, run_id),
        power_limit_w=run.power_limit_w,
    )


async def request_cancel(session: Session, run_id: UUID) -> str:
    """Cancels a queued run at once, and asks the worker of a running one to stop it.

    Returns:
        The run's new status: ``cancelled``, or ``running`` until its worker has stopped.

    Raises:
        RunNotFoundError: If the run does not exist.
        RunFinishedError: If it has succeeded or failed.
    """
    run = await executions.lock_run(session, run_id)
    if run is None:
        raise RunNotFoundError(f"Run {run_id} not found.", field="run_id")
    if run.status == "queued":
        await _cancel_now(session, run)
    elif run.status == "running":
        if run.cancel_requested_at is None:
            run.cancel_requested_at = datetime.now(UTC)
            await session.flush()
            payload = {"status": "running", "cancel_requested": True}
            event = Event("status", run.cancel_requested_at, payload)
            await executions.add_events(session, run_id, [event])
    elif run.status != "cancelled":
        raise RunFinishedError(f"The run has already {run.status}.", field="status")
    return run.status


async def cancel_queued(session: Session, run_id: UUID) -> bool:
    """Cancels a run if no worker has claimed it; returns whether it did."""
    run = await executions.lock_run(session, run_id)
    if run is None or run.status != "queued":
        return False
    await _cancel_now(session, run)
    return True


async def _cancel_now(session: Session, run: Run, reason: dict[str, Any] | None = None) -> None:
    """Cancels a queued run; without a reason, the reason is a request."""
    now = datetime.now(UTC)
    run.status = "cancelled"
    run.status_reason = reason or {"code": "cancelled", "message": "canceled by request"}
    if reason is None:
        run.cancel_requested_at = run.cancel_requested_at or now
    run.finished_at = now
    await session.flush()
    await entries.cancel(session, run.id)
    payload = {"status": "cancelled", "reason": run.status_reason}
    await executions.add_events(session, run.id, [Event("status", now, payload)])


async def open_attempts(session: Session, node_name: str) -> list[OpenAttempt]:
    """The open attempts of a node, oldest first."""
    return [
        OpenAttempt(
            attempt_id=attempt.id,
            run_id=attempt.run_id,
            number=attempt.number,
            worker=attempt.worker,
            node_name=attempt.node_name,
            ingested_seq=attempt.ingested_seq,
            started_at=attempt.started_at,
        )
        for attempt in await attempts.open_on_node(session, node_name)
    ]


async def ingested(session: Session, attempt_ids: Collection[UUID]) -> dict[UUID, int]:
    """Number of the last record of each attempt's journal that was applied; -1 before the first."""
    return await attempts.ingested(session, attempt_ids)


async def register_node(
    session: Session,
    name: str,
    pool: str,
    devices: list[dict[str, Any]],
    capabilities: dict[str, Any],
    place: str | None = None,
) -> str | None:
    """Registers a worker's node, or updates its description.

    Returns:
        The ``place`` (machine and data folder) of the previous registration of this name.
    """
    before = await registry.place_of(session, name)
    await registry.upsert(
        session, name=name, pool=pool, devices=devices, capabilities=capabilities, place=place
    )
    return before


async def touch_node(session: Session, name: str) -> None:
    """Records that the node is alive."""
    await registry.touch(session, name)
