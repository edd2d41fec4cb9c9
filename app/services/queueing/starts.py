"""When running runs are expected to end, and waiting ones to start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.quotes import quotes as quote_rows
from app.services.queueing import waiting_reasons
from app.services.quoting import projection
from models import Attempt, Run, WorkerProcess
from pricetag.accounting.forecast.projection import Range
from pricetag.accounting.forecast.queue import Held, Place, Waiting, expected_starts
from pricetag.recipes import runs_program


async def left_s(
    session: Session, running: Sequence[tuple[Run, Attempt]], now: datetime
) -> dict[UUID, Range | None]:
    """Time until the end of each running run, in s; None if unknown.

    From its projection, or else from its quote; unknown once the upper end of that has passed.
    """
    runs = [run for run, _ in running]
    quotes = await quote_rows.of_runs(session, [run.id for run in runs])
    projections = await projection.of_runs(session, runs, quotes)
    quoted = {quote.run_id: quote.content.get("quantities") for quote in quotes}
    repeated = [run.id for run, attempt in running if attempt.number > 1]
    before = await quote_rows.used_before(session, repeated) if repeated else {}
    left: dict[UUID, Range | None] = {}
    for run, attempt in running:
        projected = projections.get(run.id)
        quantities = None if projected is None else projected.quantities.model_dump()
        total_s = duration_s(quantities) or duration_s(quoted.get(run.id))
        used_s = 0.0 if attempt.number == 1 else before.get(run.id, (None, None))[0]
        if total_s is None or used_s is None:
            left[run.id] = None
        else:
            elapsed_s = used_s + (now - attempt.started_at).total_seconds()
            left[run.id] = _minus(total_s, elapsed_s)
    return left


def duration_s(quantities: Mapping[str, Any] | None) -> Range | None:
    """The duration among quantities of a quote or projection, in s; None if unknown."""
    duration = (quantities or {}).get("duration_s")
    if duration is None or duration.get("value") is None:
        return None
    value = float(duration["value"])
    low, high = duration.get("low"), duration.get("high")
    return Range(value, value if low is None else low, value if high is None else high)


def _minus(total_s: Range, elapsed_s: float) -> Range | None:
    """The rest of a duration; None once even its upper end has passed."""
    if elapsed_s > total_s.high:
        return None
    low, value = max(total_s.low - elapsed_s, 0.0), max(total_s.value - elapsed_s, 0.0)
    return Range(value, low, total_s.high - elapsed_s)


async def expected(
    workers: Sequence[WorkerProcess],
    running: Sequence[tuple[Run, Attempt]],
    rows: Sequence[Any],
    left: Mapping[UUID, Range | None],
    now: datetime,
) -> dict[UUID, Range | None]:
    """Time until each waiting run starts, in s; None if unknown.

    Args:
        workers: The live workers of the pool.
        running: Its running runs.
        rows: Its waiting runs that may start, in the order of the queue.
        left: Time until the end of each running run, in s.
        now: Present time.
    """
    numbers = {worker.identity: number for number, worker in enumerate(workers)}
    running_jobs = [
        Held(numbers[attempt.worker], run.gpus, left[run.id])
        for run, attempt in running
        if attempt.worker in numbers
    ]
    jobs = [
        Waiting(
            gpus=row.gpus,
            runs_program=runs_program(row.kind),
            ready_s=(waiting_reasons.ready_at(row, now) - now).total_seconds(),
            duration_s=duration_s(row.quantities),
        )
        for row in rows
    ]
    places = [Place(each.gpus, each.cpu_slots, each.allows_commands) for each in workers]
    # In a thread: seconds of arithmetic for a long queue must not hold up other requests.
    starts_s = await asyncio.to_thread(expected_starts, places, running_jobs, jobs)
    return {row.id: start_s for row, start_s in zip(rows, starts_s, strict=True)}
