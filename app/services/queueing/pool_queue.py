"""The queue of each pool: what waits, why, and when it is expected to start.

The state is read once for everybody (:func:`look`); what a caller may not see of it is dropped
when it is shown (:func:`shown`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.budgets import budgets as budget_rows
from app.repositories.runs import waiting as queue_rows
from app.schemas.queue import (
    BlockingBudget,
    ExpectedStart,
    PoolQueue,
    PoolWorker,
    QueueRead,
    QueueReason,
    WaitingRun,
)
from app.services import access
from app.services.budgets.standing import BudgetState, states
from app.services.principals import Principal
from app.services.queueing import starts, waiting, waiting_reasons
from models import Attempt, Run, WorkerProcess
from pricetag.accounting.forecast.projection import Range

PLANNED = 200
"""Number of runs of each pool that are played forward; for later ones no start is expected."""

RULE = (
    "By priority, highest first, then by the time at which the run was queued. A worker takes "
    "the first run that fits its free accelerators, so that a small run can overtake a large one."
)
NO_WORKER = "no live worker can take the run"
BLOCKED = "a budget is used up"
OPEN_END = "running runs, or runs ahead in the queue, have no expected end"


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool: its queue for somebody who may see every run."""

    queue: PoolQueue
    project_ids: Mapping[UUID, UUID]
    starts: Mapping[UUID, Range | None]
    """Time until each waiting run starts, in s; those that a budget blocks are not in it."""
    quoted: Mapping[UUID, Any]
    """Quoted quantities of each waiting run."""


@dataclass(frozen=True, slots=True)
class Unposted:
    """A run that was not posted, to be seen as a row of its pool's queue.

    Attributes:
        id: ID that it has only here.
        quantities: What its quote expects.
        user_id: Who would post it.
    """

    id: UUID
    name: str
    pool: str
    kind: str
    gpus: int
    priority: int
    project: str
    experiment: str
    user: str
    project_id: UUID | None
    experiment_id: UUID | None
    user_id: UUID
    quantities: Any
    created_at: datetime
    not_before: datetime | None
    position: int = 0
    waiting: int = 0
    scheduled_at: datetime | None = None
    is_taken: bool = False

    def among(self, rows: Sequence[Any]) -> list[Any]:
        """The queue with this run at its place: behind all of the same priority."""
        ahead = sum(row.priority >= self.priority for row in rows)
        own = replace(self, position=ahead + 1, waiting=len(rows) + 1)
        return [*rows[:ahead], own, *rows[ahead:]]


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue of every pool, for somebody who may see every run."""

    at: datetime
    pools: Sequence[PoolState]
    running: Sequence[tuple[Run, Range | None]]
    """The running runs, with the time until the end of each, in s."""


async def read(
    session: Session, by: Principal, *, pool: str | None = None, limit: int = 50
) -> QueueRead:
    """The queue, as the principal may see it.

    Args:
        session: Database session.
        by: The caller.
        pool: Only this pool.
        limit: Maximum number of waiting runs of each pool.
    """
    state = await look(session, pool=pool, most=limit)
    run_ids = [run.run_id for each in state.pools for run in each.queue.waiting]
    return shown(state, await access.visible_runs(session, by, run_ids), limit)


def shown(state: QueueState, visible: Collection[UUID], limit: int) -> QueueRead:
    """The first runs of each queue, without those that are not visible."""
    pools = []
    for each in state.pools:
        first = each.queue.waiting[:limit]
        seen = [run for run in first if run.run_id in visible]
        hidden = len(first) - len(seen)
        pools.append(each.queue.model_copy(update={"waiting": seen, "waiting_hidden": hidden}))
    return QueueRead(at=state.at, rule=RULE, pools=pools)


async def look(
    session: Session,
    *,
    pool: str | None = None,
    unposted: Unposted | None = None,
    most: int = PLANNED,
) -> QueueState:
    """The state of the queue, for somebody who may see every run.

    Args:
        session: Database session.
        pool: Only this pool.
        unposted: A run to treat as if it were queued now.
        most: Maximum number of waiting runs of each pool that are listed; all are planned.
    """
    now = datetime.now(UTC)
    rows = await queue_rows.waiting(session, pool, PLANNED)
    running = await queue_rows.running(session, pool)
    ended = await queue_rows.finished_since(session, now - timedelta(hours=1))
    live = await waiting.live(session)
    left_s = await starts.left_s(session, running, now)
    spent = await _spent_budgets(session, now) if rows or unposted else []
    by_pool: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_pool[row.pool].append(row)
    if unposted is not None:
        by_pool[unposted.pool] = unposted.among(by_pool[unposted.pool])
    running_by_pool: dict[str, list[tuple[Run, Attempt]]] = defaultdict(list)
    for run, attempt in running:
        running_by_pool[run.pool].append((run, attempt))
    names = {*by_pool, *running_by_pool, *(worker.pool for worker in live)}
    pools = [
        await _pool(
            name,
            now,
            by_pool[name],
            running_by_pool[name],
            live,
            left_s,
            spent,
            ended.get(name, 0),
            most,
        )
        for name in sorted(names)
        if pool is None or name == pool
    ]
    return QueueState(now, pools, [(run, left_s[run.id]) for run, _ in running])


async def _pool(
    name: str,
    now: datetime,
    rows: Sequence[Any],
    running: Sequence[tuple[Run, Attempt]],
    live: Sequence[WorkerProcess],
    left_s: Mapping[UUID, Range | None],
    spent: Sequence[BudgetState],
    ended: int,
    most: int,
) -> PoolState:
    workers = [worker for worker in live if worker.pool == name]
    use = _Use.of(workers, running)
    blocking = {row.id: [state for state in spent if _concerns(state, row)] for row in rows}
    candidates = [row for row in rows if not blocking[row.id]]
    expected = await starts.expected(workers, running, candidates, left_s, now)
    items = []
    for row in rows[:most]:
        start = expected.get(row.id)
        reason = waiting_reasons.reason(row, now, use.places, live, blocking[row.id], start)
        items.append(
            WaitingRun(
                position=row.position,
                run_id=row.id,
                name=row.name,
                project=row.project,
                experiment=row.experiment,
                user=row.user,
                gpus=row.gpus,
                priority=row.priority,
                created_at=row.created_at,
                not_before=row.not_before,
                reason=reason,
                expected_start=_expected(reason, start, now),
                quote=row.quantities,
                blocked_by=[
                    BlockingBudget(id=state.budget.id, name=state.budget.name)
                    for state in blocking[row.id]
                ],
            )
        )
    return PoolState(
        queue=PoolQueue(
            pool=name,
            workers=len(workers),
            workers_late=sum(waiting.is_late(worker, now) for worker in workers),
            heard=[
                PoolWorker(
                    node=worker.node_name,
                    last_seen_at=worker.last_seen_at,
                    late=waiting.is_late(worker, now),
                )
                for worker in sorted(workers, key=lambda worker: worker.last_seen_at)
            ],
            gpus=use.gpus,
            gpus_busy=use.gpus_busy,
            cpu_slots=use.cpu_slots,
            cpu_slots_busy=use.cpu_slots_busy,
            busy_ratio=use.ratio,
            running_count=len(running),
            waiting_count=rows[0].waiting if rows else 0,
            waiting_hidden=0,
            blocked_count=sum(bool(states) for states in blocking.values()),
            finished_last_hour=ended,
            waiting=items,
        ),
        project_ids={row.id: row.project_id for row in rows},
        starts=expected,
        quoted={row.id: row.quantities for row in rows},
    )


@dataclass(frozen=True, slots=True)
class _Use:
    """The places of a pool's live workers, and how many are in use."""

    places: waiting_reasons.Places
    gpus: int
    gpus_busy: int
    cpu_slots: int
    cpu_slots_busy: int

    @classmethod
    def of(cls, workers: Sequence[WorkerProcess], running: Sequence[tuple[Run, Attempt]]) -> _Use:
        gpus, slots = sum(w.gpus for w in workers), sum(w.cpu_slots for w in workers)
        devices: dict[str, set[str]] = {worker.identity: set() for worker in workers}
        busy_slots = 0
        for run, attempt in running:
            if attempt.worker not in devices:
                continue
            if run.gpus:
                devices[attempt.worker] |= {str(each.get("uuid")) for each in attempt.devices}
            else:
                busy_slots += 1
        free = [max(0, w.gpus - len(devices[w.identity])) for w in workers]
        busy_slots = min(busy_slots, slots)
        places = waiting_reasons.Places(gpus, free, slots, slots - busy_slots)
        return cls(places, gpus, gpus - sum(free), slots, busy_slots)

    @property
    def ratio(self) -> float | None:
        """Share of the accelerators in use, or of the CPU slots without accelerators."""
        if self.gpus:
            return self.gpus_busy / self.gpus
        return self.cpu_slots_busy / self.cpu_slots if self.cpu_slots else None


async def _spent_budgets(session: Session, now: datetime) -> list[BudgetState]:
    """The open budgets that keep runs from starting because they are used up."""
    holding = [
        budget for budget in await budget_rows.all_open(session) if budget.refuses or budget.stops
    ]
    states_now = await states(session, holding, now, promised=False)
    return [state for state in states_now if state.standing.is_spent]


def _concerns(state: BudgetState, row: Any) -> bool:
    budget = state.budget
    return budget.scope == "lab" or getattr(row, f"{budget.scope}_id") == budget.scope_id


def _expected(reason: QueueReason, start: Range | None, now: datetime) -> ExpectedStart:
    if start is None:
        texts = {"budget-exceeded": BLOCKED}
        unknown = NO_WORKER if reason.code.startswith("no-worker") else OPEN_END
        return ExpectedStart(at=None, low=None, high=None, reason=texts.get(reason.code, unknown))
    at, low, high = (after(now, s) for s in (start.value, start.low, start.high))
    if at is None or low is None or high is None:
        return ExpectedStart(at=None, low=None, high=None, reason="it is more than 100 years away")
    return ExpectedStart(at=at, low=low, high=high, reason=None)


FARTHEST_S = 100 * 365 * 86400.0


def after(now: datetime, seconds: float) -> datetime | None:
    """A time from now; None if it is too far off."""
    return None if seconds > FARTHEST_S else now + timedelta(seconds=seconds)
