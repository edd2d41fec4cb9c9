"""Why a queued run has not started: one reason, the one that has to go first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.schemas.queue import QueueReason
from app.services.budgets.standing import BudgetState
from app.services.budgets.texts import spent_text
from app.services.queueing import waiting
from app.services.queueing.waiting import Serving
from pricetag.accounting.forecast.projection import Range
from pricetag.recipes import runs_program

BUDGET_HINT = (
    "raise the budget or wait for its next period; until then the run is canceled when its turn "
    "comes"
)


@dataclass(frozen=True, slots=True)
class Places:
    """Places of a pool.

    Attributes:
        gpus: Accelerators of its live workers.
        free_gpus: Free accelerators of each worker.
        cpu_slots: Places for runs without accelerators.
        free_cpu_slots: Free ones of these places.
    """

    gpus: int
    free_gpus: Sequence[int]
    cpu_slots: int
    free_cpu_slots: int


def ready_at(row: Any, now: datetime) -> datetime:
    """The time from which a queued run may start."""
    times: list[datetime] = [at for at in (row.not_before, row.scheduled_at) if at is not None]
    return max([now, *times])


def reason(
    row: Any,
    now: datetime,
    places: Places,
    live: Sequence[Serving],
    blocking: Sequence[BudgetState],
    start_s: Range | None,
) -> QueueReason:
    """Why a queued run has not started.

    Args:
        row: The run, with its place in the queue.
        now: Present time.
        places: The places of its pool.
        live: The live workers of all pools.
        blocking: The budgets of the run that are used up.
        start_s: Expected time until its start, in s.
    """
    why = waiting.why(row.pool, row.gpus, is_program=runs_program(row.kind), live=live)
    if why is not None:
        return QueueReason(code=why.code, message=why.message, hint=why.hint)
    if blocking:
        message = "; ".join(spent_text(state) for state in blocking)
        return QueueReason(code="budget-exceeded", message=message, hint=BUDGET_HINT)
    if row.is_taken:
        return _only("starting", "a worker has just taken the run")
    if row.not_before is not None and row.not_before > now:
        return _only("not-before", f"the run must not start before {_time(row.not_before)}")
    if row.scheduled_at is not None and row.scheduled_at > now:
        return _only("next-attempt", f"the run is delivered again at {_time(row.scheduled_at)}")
    if start_s is not None and start_s.high <= 0:
        return _only("starting", "a worker is about to take the run")
    return _taken(row, places)


def _taken(row: Any, places: Places) -> QueueReason:
    ahead = row.position - 1
    queue = f", and {ahead} {'run is' if ahead == 1 else 'runs are'} ahead" if ahead else ""
    if not row.gpus:
        busy = places.cpu_slots - places.free_cpu_slots
        text = f"{busy} of {places.cpu_slots} CPU slots of pool {row.pool} are in use{queue}"
        return _only("places-taken", text)
    free, most = sum(places.free_gpus), max(places.free_gpus, default=0)
    if free >= row.gpus > most:
        text = (
            f"{free} accelerators of pool {row.pool} are free, but at most {most} on one worker, "
            f"and the run needs {row.gpus}{queue}"
        )
        return _only("scattered", text)
    busy = places.gpus - free
    text = f"{busy} of {places.gpus} accelerators of pool {row.pool} are in use{queue}"
    return _only("places-taken", text)


def _only(code: Any, message: str) -> QueueReason:
    return QueueReason(code=code, message=message, hint=None)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
