"""The one door for what an attempt measured and reported: its journal, batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from app.db import INVALID_DATA_ERRORS, Session
from app.repositories import attempts, executions, measured
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
from models import Attempt, LogLine, Metric, Reading, RejectedRecord, Run, Stage

logger = logging.getLogger(__name__)

LATE_TAIL = 500
"""A late batch shorter than this is the last one for now: it is worth a new price tag."""


UNFIT_ERRORS: tuple[type[Exception], ...] = (
    *INVALID_DATA_ERRORS,
    ArithmeticError,
    ValueError,
    TypeError,
    LookupError,
)


class PoisonedRecordsError(Exception):
    """Some record of a batch cannot be stored; sending the same batch again is of no use."""


async def ingest(
    session: Session,
    attempt_id: UUID,
    records: Sequence[dict[str, Any]],
    *,
    limits: Limits | None = None,
) -> int:
    """Applies the records of a journal that have not been applied yet.

    Sending a record again changes nothing. A record that cannot be parsed is skipped,
    and a line in the attempt's log says so; so are metrics and artifacts beyond the limits,
    which are counted on the attempt. Records that arrive after the attempt was
    closed are added to it; with the end or the tail of such a late journal its energy is
    booked anew and a new price tag is issued.

    Args:
        session: Committed by the caller: all of the batch, or nothing.
        attempt_id: The attempt whose journal it is.
        records: As ``docs/explanation/architecture.md`` tables them, ``seq`` ascending.
        limits: Of what is kept of an attempt; by default as this process is set.

    Returns:
        The sequence number of the last record applied (-1: none yet); the sender goes on
        after it.

    Raises:
        AttemptNotFoundError: If there is no such attempt.
        PoisonedRecordsError: If a record passed every check and could not be stored for all that.
            The transaction is to be rolled back; the records before it can be sent by themselves.
    """
    try:
        return await _ingest(session, attempt_id, records, limits or intake_limits())
    except UNFIT_ERRORS as error:
        what = str(error).splitlines()[0] if str(error) else ""
        raise PoisonedRecordsError(f"{type(error).__name__}: {what:.300}") from error


async def _ingest(
    session: Session, attempt_id: UUID, records: Sequence[dict[str, Any]], limits: Limits
) -> int:
    attempt = await attempts.lock(session, attempt_id)
    if attempt is None:
        raise AttemptNotFoundError(f"There is no attempt {attempt_id}.", field="attempt_id")
    fresh, holes = in_order(records, after_seq=attempt.ingested_seq)
    if not fresh:
        return attempt.ingested_seq
    run = await executions.lock_run(session, attempt.run_id)
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
    batch = Batch(attempt, stages, late=late, intake=intake, before=run.progress)
    for record in [*holes, *fresh]:
        batch.apply(record)
    attempt.ingested_seq = fresh[-1].seq
    attempt.intake = intake.as_stored()
    if not batch.late:
        await book_running(session, attempt, live_meter.advance(attempt, batch.readings))
    await _store(session, run, batch)
    await _end(session, attempt, run, batch)
    return attempt.ingested_seq


async def _store(session: Session, run: Run, batch: Batch) -> None:
    session.add_all(batch.new_stages)
    if batch.progress is not None and not batch.late:
        run.progress = batch.progress
    await session.flush()
    await measured.add_rows(session, Reading, batch.readings)
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
        told = None if end is None else {"status": end.status, "reason": reason, "t_s": end.t_s}
        await settlement.amend_attempt(session, attempt, run, told, batch.last_at)
    elif end is not None:
        await settlement.close_attempt(
            session,
            attempt,
            run,
            status=end.status,
            reason=reason,
            end_s=end.t_s,
            at=end.at,
        )
