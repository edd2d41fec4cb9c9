"""Settles an attempt at its end: books energy, updates the run, issues the price tag."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from app.db import Session
from app.queue import entries
from app.repositories.attempts import executions, measured
from app.repositories.attempts.executions import Event
from app.repositories.energy import hours as energy_hours
from app.repositories.readings import readings as reading_rows
from app.services.attempts import packing
from app.services.attempts.hours import hour_row
from app.services.attempts.outcomes import (
    EXHAUSTED,
    AttemptEnd,
    Outcome,
    outcome,
    outcome_elsewhere,
)
from app.services.attempts.settling import settle
from app.services.billing import issuing, spending
from app.services.billing.inputs import attempts_of
from app.services.budgets import alerts as budget_alerts
from models import Attempt, Run
from pricetag.accounting.bill.scheduled import most_devices, record_of
from pricetag.accounting.readings import stage_windows
from pricetag.accounting.readings.settled import Settled
from pricetag.accounting.readings.stage_windows import StageEnergy, StagePlan
from pricetag.attempt.together import together
from pricetag.tag.measured import QUEUE, SLURM

logger = logging.getLogger(__name__)

AT_ONCE = 2
"""Components of an attempt that are computed at the same time."""


async def close_attempt(
    session: Session,
    attempt: Attempt,
    run: Run,
    *,
    status: AttemptEnd,
    reason: Mapping[str, Any] | None,
    end_s: float,
    at: datetime,
) -> None:
    """Ends an attempt and updates its run. The caller holds the locks of both.

    Args:
        session: Committed by the caller.
        attempt: An open attempt.
        run: Its run.
        status: How the attempt ended.
        reason: ``{code, message, field?}``, or None.
        end_s: Time of the end on the meter's clock, in s.
        at: Time of the end, UTC.
    """
    attempt.status = status
    attempt.reason = dict(reason) if reason is not None else None
    attempt.ended_at = max(at, attempt.started_at)
    attempt.duration_s = end_s
    await book(session, attempt)
    await _move_on(session, attempt, run, status, at)
    await _issue(session, run, attempt, at)
    await packing.pack_settled(session, attempt)


async def amend_attempt(
    session: Session, attempt: Attempt, run: Run, end: Mapping[str, Any] | None, at: datetime
) -> None:
    """Books records that arrived after an attempt was closed, and issues a new price tag.

    Args:
        session: Committed by the caller.
        attempt: A closed attempt; locked by the caller, like its run.
        run: Its run.
        end: ``{status, reason, t_s}`` of the journal's own end, if it has arrived.
        at: Time of the last record, UTC.
    """
    last_s = await reading_rows.last_reading_s(session, attempt.id)
    known_s = [attempt.duration_s, last_s, end["t_s"] if end else None]
    attempt.duration_s = max(value for value in known_s if value is not None)
    if end is not None and attempt.status == "lost" and await _still_counts(session, attempt, run):
        attempt.status = end["status"]
        attempt.reason = end["reason"]
        await entries.cancel(session, run.id)
        await _move_on(session, attempt, run, end["status"], at)
    await book(session, attempt)
    await _issue(session, run, attempt, at, cause="journal-came-late")
    await packing.pack_settled(session, attempt)


async def _still_counts(session: Session, attempt: Attempt, run: Run) -> bool:
    """Whether the true end of a lost attempt can still change the status of its run."""
    exhausted = run.status == "failed" and (run.status_reason or {}).get("code") == EXHAUSTED
    if run.status != "queued" and not exhausted:
        return False
    return attempt.number == await executions.last_attempt_number(session, run.id)


async def book(session: Session, attempt: Attempt) -> None:
    """Replaces the attempt's measurements and hourly energy, computed from its readings.

    There is one measurement per component and stage, and one per component over the attempt.
    """
    for stage in (await measured.stages(session, attempt.id)).values():
        if stage.end_s is None:  # a stage without its own end ended like the attempt
            stage.status = attempt.status
    rows, hours = await measure(session, attempt)
    await measured.replace_measurements(session, attempt.id, rows)
    await energy_hours.replace_attempt_hours(session, attempt.id, hours)


async def measure(
    session: Session, attempt: Attempt
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """An attempt's measurements and hourly energy, computed from its readings.

    Nothing is written; the same readings give the same rows to the last digit.

    Args:
        session: Only read.
        attempt: The attempt.

    Raises:
        DamagedReadingsError: If packed readings are not those that were packed.
    """
    end_s = attempt.duration_s or 0.0
    # An attempt begins with its claim; its meter opens a moment later.
    opened_at = attempt.meter_opened_at or attempt.started_at
    stages = await asyncio.to_thread(
        stage_windows.plan,
        (await measured.stages(session, attempt.id)).values(),
        end_s=end_s,
        opened_at=opened_at,
        shares_overlaps=attempt.shares_overlaps,
    )
    settled = await _settled(session, attempt, stages, end_s, opened_at)
    rows: list[dict[str, Any]] = []
    hours: list[dict[str, Any]] = []
    for component, its in zip(attempt.components, settled, strict=True):
        rows += [_row(attempt.id, component["id"], energy) for energy in its.windows]
        hours += [
            hour_row(attempt, component, hour, energy_j, window.covered_s, window.flags)
            for hour, energy_j, window in its.hours
        ]
    return rows, hours


async def _settled(
    session: Session, attempt: Attempt, stages: StagePlan, end_s: float, opened_at: datetime
) -> list[Settled]:
    """The energy of each component; while one is computed, the next one is read."""
    computed: list[asyncio.Task[Settled]] = []
    try:
        for place, component in enumerate(attempt.components):
            stored = await reading_rows.stored(session, attempt.id, component["id"])
            if place >= AT_ONCE:  # at most this number is in memory
                await computed[place - AT_ONCE]
            # Days of readings take long, which must not block the event loop.
            work = asyncio.to_thread(settle, stored, component, stages, end_s, opened_at)
            computed.append(asyncio.create_task(work))
        return [await task for task in computed]
    finally:
        await asyncio.gather(*computed, return_exceptions=True)


def _row(attempt_id: UUID, component: str, energy: StageEnergy) -> dict[str, Any]:
    window = energy.window
    return {
        "attempt_id": attempt_id,
        "stage_key": energy.stage_key,
        "component": component,
        "start_s": window.start_s,
        "end_s": window.end_s,
        "energy_j": window.energy_j,
        "energy_by_source_j": dict(window.energy_by_source_j),
        "covered_s": window.covered_s,
        "flags": list(window.flags),
        "reason": window.reason,
        "device_energy_j": window.device_energy_j,
        "baseline_j": window.baseline_j,
        "energy_by_hour_j": None if window.energy_j is None else energy.by_hour_j,
    }


async def _move_on(
    session: Session, attempt: Attempt, run: Run, status: AttemptEnd, at: datetime
) -> None:
    if run.origin == QUEUE:
        decided = outcome(
            status,
            attempt.reason,
            number=attempt.number,
            max_attempts=run.max_attempts,
            cancel_requested=run.cancel_requested_at is not None,
        )
    elif run.origin == SLURM:
        decided = await _of_job(session, run)
    else:
        decided = outcome_elsewhere(status, attempt.reason)
    run.status = decided.status
    run.status_reason = decided.reason
    if decided.status == "queued":
        run.progress = None
        run.finished_at = None
        await session.flush()
        await entries.enqueue_run(session, run)
    else:
        ends = [run.finished_at, attempt.ended_at] if run.origin == SLURM else [attempt.ended_at]
        run.finished_at = max(end for end in ends if end is not None)
    payload = {
        "status": run.status,
        "reason": run.status_reason,
        "attempt": attempt.number,
        "attempt_status": attempt.status,
    }
    await session.flush()
    await executions.add_events(session, run.id, [Event("status", at, payload)])


async def _of_job(session: Session, run: Run) -> Outcome:
    """Status of a run that is a job, by all its nodes and restarts; sets its accelerators."""
    await session.flush()
    inputs = await attempts_of(session, run.id)
    run.gpus = most_devices(inputs)
    ends = ((int((record_of(each) or {}).get("restart") or 0), each) for each in inputs)
    status, reason = together((restart, each.status, each.reason) for restart, each in ends)
    return outcome_elsewhere(cast(AttemptEnd, status), reason)


async def _issue(
    session: Session,
    run: Run,
    attempt: Attempt,
    at: datetime,
    cause: issuing.Cause = "attempt-ended",
) -> None:
    """Issues the price tag; the attempt's end is booked even if this fails."""
    await session.flush()
    try:
        async with session.begin_nested():
            await issuing.issue(session, run.id, cause=cause)
    except Exception as error:  # an error in the arithmetic must not keep the run running forever
        logger.exception("run %s: its price tag could not be built", run.id)
        await spending.book_unknown(session, run)
        text = f"the price tag could not be built ({type(error).__name__}: {error})"
        await measured.add_log(
            session,
            {
                "attempt_id": attempt.id,
                "seq": attempt.ingested_seq,
                "at": at,
                "stream": "pricetag",
                "text": text,
            },
        )
    await _alert_budgets(session, run)


async def _alert_budgets(session: Session, run: Run) -> None:
    """Announces crossed thresholds; the attempt's end is booked even if this fails."""
    try:
        async with session.begin_nested():
            await budget_alerts.announce_booked(session, run)
    except Exception:  # the next check of the budgets announces them
        logger.exception("run %s: crossed budget thresholds could not be announced", run.id)
