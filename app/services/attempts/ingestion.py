"""Ingests an attempt's journal, batch by batch: the only way in for its records."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import INVALID_DATA_ERRORS, Session
from app.repositories.attempts import attempts, executions, measured
from app.repositories.readings import readings
from app.services.attempts import settlement
from app.services.attempts.hours import book_running
from app.services.attempts.intake import Intake, Limits
from app.services.attempts.intake import limits as intake_limits
from app.services.attempts.journal_batch import Batch
from app.services.attempts.journal_records import (
    ArtifactRecord,
    End,
    Flops,
    StageEnd,
    StageStart,
    in_order,
)
from app.services.billing import live_meter
from app.services.errors import AttemptNotFoundError
from models import Attempt, LogLine, Metric, RejectedRecord, Run, Stage
from pricetag.tag.measured import QUEUE

logger = logging.getLogger(__name__)

LATE_TAIL = 500
"""A late batch with fewer records ends the late journal for now: a new price tag is issued."""


UNFIT_ERRORS: tuple[type[Exception], ...] = (
    *INVALID_DATA_ERRORS,
    ArithmeticError,
    ValueError,
    TypeError,
    LookupError,
)


class PoisonedRecordsError(Exception):
    """A record of the batch cannot be stored; sending the same batch again would fail too."""


async def ingest(
    session: Session,
    attempt_id: UUID,
    records: Sequence[dict[str, Any]],
    *,
    limits: Limits | None = None,
    locked: tuple[Attempt, Run] | None = None,
    is_live: bool = True,
) -> int:
    """Applies the records of a journal that have not been applied yet.

    Sending a record again changes nothing. A record that cannot be parsed is skipped, with a
    line in the attempt's log. Metrics and artifacts beyond the limits are skipped too, and
    counted on the attempt. Records that arrive after the attempt was closed are added to it;
    with the end or the last records of such a late journal, its energy is booked again and a
    new price tag is issued.

    Args:
        session: Committed by the caller: the whole batch, or nothing.
        attempt_id: The journal's attempt.
        records: Records as listed in ``docs/explanation/architecture.md``, in order of ``seq``.
        limits: Limits of an attempt's records; by default the settings of this process.
        locked: The attempt and its run, if the caller has locked and freshly read them.
        is_live: Whether the records come while the job runs, so that its charge so far and its
            power are of interest. The end of the attempt books all of it in any case.

    Returns:
        Sequence number of the last applied record (-1: none yet), after which the sender
        continues.

    Raises:
        AttemptNotFoundError: If the attempt does not exist.
        PoisonedRecordsError: If a record passed every check but could not be stored. The caller
            must roll back the transaction, and can send the records before it separately.
    """
    try:
        return await _ingest(
            session, attempt_id, records, limits or intake_limits(), locked, is_live=is_live
        )
    except UNFIT_ERRORS as error:
        first_line = str(error).splitlines()[0] if str(error) else ""
        raise PoisonedRecordsError(f"{type(error).__name__}: {first_line:.300}") from error


async def _ingest(
    session: Session,
    attempt_id: UUID,
    records: Sequence[dict[str, Any]],
    limits: Limits,
    locked: tuple[Attempt, Run] | None,
    *,
    is_live: bool,
) -> int:
    attempt = await attempts.lock(session, attempt_id) if locked is None else locked[0]
    if attempt is None:
        raise AttemptNotFoundError(f"Attempt {attempt_id} not found.", field="attempt_id")
    fresh, holes = in_order(records, after_seq=attempt.ingested_seq)
    if not fresh:
        return attempt.ingested_seq
    run = await executions.lock_run(session, attempt.run_id) if locked is None else locked[1]
    if run is None:
        raise AttemptNotFoundError(f"The run of attempt {attempt_id} is gone.", field="attempt_id")
    stages: dict[str, Stage] = {}
    if any(isinstance(record, StageStart | StageEnd | Flops) for record in fresh):
        stages = await measured.stages(session, attempt_id)
    paths: Collection[str] = ()
    if any(isinstance(record, ArtifactRecord) for record in fresh):
        paths = await measured.artifact_paths(session, attempt_id)
    intake = Intake(attempt.intake, limits, paths)
    late = attempt.ended_at is not None
    batch = Batch(attempt, stages, late=late, intake=intake, before=run.progress, is_live=is_live)
    for record in [*holes, *fresh]:
        batch.apply(record)
    attempt.ingested_seq = fresh[-1].seq
    attempt.intake = intake.as_stored()
    if is_live and not batch.late:
        await book_running(session, attempt, live_meter.advance(attempt, batch.readings))
    await _store(session, run, batch)
    await _end(session, attempt, run, batch)
    return attempt.ingested_seq


async def _store(session: Session, run: Run, batch: Batch) -> None:
    session.add_all(batch.new_stages)
    if batch.progress is not None and not batch.late:
        run.progress = batch.progress
    await session.flush()
    await readings.add_readings(session, batch.attempt.id, batch.readings)
    await measured.add_rows(session, Metric, batch.metrics)
    await measured.add_rows(session, LogLine, batch.log_lines)
    await measured.add_rows(session, RejectedRecord, batch.rejected)
    await measured.put_artifacts(session, batch.artifacts)
    await executions.add_events(session, run.id, batch.all_events())


async def _end(session: Session, attempt: Attempt, run: Run, batch: Batch) -> None:
    end: End | None = batch.end
    reason = end.reason.model_dump(exclude_none=True) if end and end.reason else None
    if batch.late:
        if end is None and batch.size >= LATE_TAIL:
            return
        late_end = None if end is None else {"status": end.status, "reason": reason, "t_s": end.t_s}
        await settlement.amend_attempt(session, attempt, run, late_end, batch.last_at)
    elif end is not None:
        await settlement.close_attempt(
            session,
            attempt,
            run,
            status=end.status,
            reason=reason,
            end_s=end.t_s,
            at=_ended_at(attempt, run, end),
        )


def _ended_at(attempt: Attempt, run: Run, end: End) -> datetime:
    """When an attempt ended; of a machine that is not the lab's, by its meter's clock alone.

    The time of day of such a machine may be set while its program runs.
    """
    if run.origin == QUEUE or attempt.meter_opened_at is None:
        return end.at
    return attempt.meter_opened_at + timedelta(seconds=end.t_s)
