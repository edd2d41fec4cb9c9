"""The queue: what waits in each pool, why, and when it is expected to start."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.common import Wire
from app.schemas.fields import CreatedAt, ExperimentName, PoolName, ProjectName, RunId, RunName
from app.schemas.projections import QuoteQuantities

QueueReasonCode = Literal[
    "no-worker-in-pool",
    "no-worker-large-enough",
    "no-worker-allows-commands",
    "not-before",
    "next-attempt",
    "budget-exceeded",
    "starting",
    "places-taken",
    "scattered",
]


class QueueReason(Wire):
    """Reason why a run has not started yet."""

    code: QueueReasonCode = Field(description="Stable code for programs.")
    message: str = Field(
        examples=["all 8 accelerators of pool default are in use"],
        description="The reason, for people.",
    )
    hint: str | None = Field(description="What to do; null if the run only has to wait.")


class ExpectedStart(Wire):
    """When a run is expected to start; unknown where other runs have no expected end."""

    at: datetime | None = Field(description="Expected start (UTC); null if unknown.")
    low: datetime | None = Field(
        description="Earliest start, if the duration of every run ahead is the lower end of its "
        "interval; null if unknown."
    )
    high: datetime | None = Field(
        description="Latest start, if the duration of every run ahead is the upper end of its "
        "interval; null if unknown."
    )
    reason: str | None = Field(description="Reason why the start is unknown; null if known.")


class BlockingBudget(Wire):
    """A budget that is used up: runs under it do not start."""

    id: uuid.UUID = Field(description="ID of the budget.")
    name: str = Field(description="Name of the budget.")


class WaitingRun(Wire):
    """A queued run, with its place in the queue of its pool."""

    position: int = Field(
        description="Place in the order of the pool, from 1; runs that you may not see count."
    )
    run_id: RunId
    name: RunName
    project: ProjectName
    experiment: ExperimentName
    user: str | None = Field(description="Name of the author; null if unknown.")
    gpus: int = Field(description="Number of accelerators that the run needs on one worker.")
    priority: int = Field(description="Priority; runs with a higher one start first.")
    created_at: CreatedAt
    not_before: datetime | None = Field(
        description="Time before which the run must not start (UTC); null without one."
    )
    reason: QueueReason = Field(description="Why the run has not started.")
    expected_start: ExpectedStart = Field(description="When the run is expected to start.")
    quote: QuoteQuantities | None = Field(
        description="Quantities of the run's quote; null without a quote."
    )
    blocked_by: list[BlockingBudget] = Field(
        description="Budgets that are used up; the run is canceled when its turn comes."
    )


class PoolWorker(Wire):
    """A worker of a pool."""

    node: str = Field(description="Name of the node.")
    last_seen_at: datetime = Field(description="Time of the latest sign of life (UTC).")
    late: bool = Field(
        description="Whether it has missed two reports, which come every 10 s: it may have died, "
        "and counts as live for 35 s."
    )


class PoolQueue(Wire):
    """The queue of one pool."""

    pool: PoolName
    workers: int = Field(description="Number of live workers.")
    workers_late: int = Field(
        description="Number of these that have missed two reports: they may have died."
    )
    heard: list[PoolWorker] = Field(
        description="Live workers, longest silent first; not in the event `queue`."
    )
    gpus: int = Field(description="Number of accelerators of the live workers.")
    gpus_busy: int = Field(description="Number of these accelerators that runs use now.")
    cpu_slots: int = Field(
        description="Number of CPU slots, each for one run without accelerators."
    )
    cpu_slots_busy: int = Field(description="Number of CPU slots that runs use now.")
    busy_ratio: float | None = Field(
        description="Share of the accelerators in use, or of the CPU slots where there are no "
        "accelerators; null without a live worker."
    )
    running_count: int = Field(description="Number of running runs.")
    waiting_count: int = Field(description="Number of queued runs.")
    waiting_hidden: int = Field(
        description="Number of runs among the first `limit` that you may not see."
    )
    blocked_count: int = Field(
        description="Number of runs among the first 200 that a used-up budget blocks."
    )
    finished_last_hour: int = Field(description="Number of runs that ended in the last hour.")
    waiting: list[WaitingRun] = Field(
        description="The first `limit` queued runs, in the order in which workers take them."
    )


class QueueRead(Wire):
    """The queue of every pool."""

    at: datetime = Field(description="Time of this state (UTC).")
    rule: str = Field(description="The rule that orders the runs, for people.")
    pools: list[PoolQueue] = Field(
        description="Pools with a live worker, a running or a queued run, by name."
    )
