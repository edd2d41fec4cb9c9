"""Expected use of budgets by open runs from now on, over time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.budgets import burn_down as rows
from app.repositories.budgets import spend as spend_rows
from app.repositories.quotes import quotes as quote_rows
from app.services.budgets.standing import amount_of
from app.services.queueing import pool_queue
from app.services.queueing.pool_queue import QueueState, Unposted
from app.services.queueing.starts import duration_s
from app.services.quoting import projection
from models import Budget, Spend
from pricetag.accounting.budgets.burn_down import Fan, OpenUse, Span3, fan
from pricetag.accounting.budgets.decision import ZERO
from pricetag.accounting.forecast.projection import Range

Quantities = Mapping[str, Any]

SHARED_S = 5.0
"""Time for which requests share the open runs that one of them has read, in s."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """An open run, for a caller who may see every run.

    Attributes:
        run_id: The run.
        name: Its name; None if it is too far back in the queue to be read.
        status: ``queued`` or ``running``.
        start_s: Time until it starts, in s; None if unknown, 0 for a running one.
        rest_s: Time from then to its end, in s; None if unknown.
        quantities: Its expected total use; None if unknown.
        used_ratio: Share of that energy which a running one has used.
    """

    run_id: UUID
    name: str | None
    status: str
    start_s: Span3 | None = None
    rest_s: Span3 | None = None
    quantities: Quantities | None = None
    used_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What the open runs under a budget will use.

    Attributes:
        fan: Their use over time, starting at zero.
        known: Number of runs whose use is known.
        unknown: Number of the other runs, which are not in any figure.
    """

    fan: Fan
    known: int
    unknown: int

    @property
    def runs(self) -> int:
        """Number of all open runs under the budget."""
        return self.known + self.unknown


Scope = tuple[str, UUID | None]
Unit = tuple[str, str | None]
NOTHING = Expected(fan(0.0, []), 0, 0)


@dataclass(frozen=True, slots=True)
class OpenRuns:
    """All open runs of the lab, with the use of their ended attempts.

    Attributes:
        runs: The runs.
        scopes: Ids of the experiment, project and user of each run, by scope.
        ended: Usage of their ended attempts.
    """

    runs: Sequence[OpenRun]
    scopes: Mapping[UUID, Mapping[str, UUID | None]]
    ended: Mapping[UUID, Sequence[Spend]]
    _uses: dict[Unit, Mapping[Scope, list[OpenUse | None]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _expected: dict[tuple[Unit, Scope], Expected] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def expected(self, budget: Budget) -> Expected:
        """What the open runs under a budget will use.

        The runs are evaluated once per unit and added up once per scope, for any number of budgets.

        Args:
            budget: The budget; nothing is charged to a closed one.
        """
        if budget.closed_at is not None:
            return NOTHING
        unit, scope = (budget.metric, budget.currency), (budget.scope, budget.scope_id)
        if unit not in self._uses:
            self._uses[unit] = self._by_scope(budget)
        if (unit, scope) not in self._expected:
            under = self._uses[unit].get(scope, [])
            uses = [use for use in under if use is not None]
            expected = Expected(fan(0.0, uses), len(uses), len(under) - len(uses))
            self._expected[unit, scope] = expected
        return self._expected[unit, scope]

    def _by_scope(self, budget: Budget) -> Mapping[Scope, list[OpenUse | None]]:
        """The use of every run in the budget's unit, under each of the run's scopes."""
        by_scope: dict[Scope, list[OpenUse | None]] = defaultdict(list)
        for run in self.runs:
            use = self._use(budget, run)
            by_scope["lab", None].append(use)
            for scope, scope_id in self.scopes[run.run_id].items():
                if scope_id is not None:
                    by_scope[scope, scope_id].append(use)
        return by_scope

    def under(
        self, budget: Budget, without: Collection[UUID] = ()
    ) -> list[tuple[OpenRun, OpenUse | None]]:
        """The open runs under a budget, each with its expected use; None if that is unknown.

        Args:
            budget: The budget; nothing is charged to a closed one.
            without: Runs to skip.
        """
        if budget.closed_at is not None:
            return []
        return [
            (run, self._use(budget, run))
            for run in self.runs
            if run.run_id not in without and self.is_under(budget, run.run_id)
        ]

    def is_under(self, budget: Budget, run_id: UUID) -> bool:
        """Whether an open run is charged to a budget."""
        return budget.scope == "lab" or self.scopes[run_id][budget.scope] == budget.scope_id

    def _use(self, budget: Budget, run: OpenRun) -> OpenUse | None:
        total = expected_amount(budget, run.quantities)
        if total is None or run.start_s is None or run.rest_s is None:
            return None
        if run.used_ratio is not None:
            before = total.value * run.used_ratio
        else:
            ended = (
                amount_of(budget, attempt_use) for attempt_use in self.ended.get(run.run_id, ())
            )
            before = float(sum((amount or ZERO for amount in ended), start=Decimal(0)))
        remaining = Span3(*(max(end - before, 0.0) for end in (total.value, total.low, total.high)))
        return OpenUse(remaining, run.start_s, run.rest_s)


@dataclass(frozen=True, slots=True)
class _Shared:
    """Open runs that were read, with the state of the database and the time."""

    state: str
    read_s: float
    runs: OpenRuns


_shared: list[_Shared] = []
"""What was read last; at most one."""


async def shared(session: Session, clock: Callable[[], float] = time.monotonic) -> OpenRuns:
    """All open runs, as another request has read them up to `SHARED_S` ago.

    They are read again if an open run, its attempt or a worker has been written since. The further
    use of the attempts is in the state of the budgets, which each request reads.

    Args:
        session: Database session.
        clock: Present time, in s.
    """
    state = await rows.open_state(session)
    for last in _shared:
        if last.state == state and clock() - last.read_s < SHARED_S:
            return last.runs
    runs = await read(session)
    for spent in chain.from_iterable(runs.ended.values()):
        session.expunge(spent)  # it outlives the session
    _shared[:] = [_Shared(state, clock(), runs)]
    return runs


async def read(session: Session, unposted: Unposted | None = None) -> OpenRuns:
    """All open runs.

    Args:
        session: Database session.
        unposted: A run to treat as if it were queued now.
    """
    opened = await rows.open_runs(session)
    scopes: dict[UUID, Mapping[str, UUID | None]] = {
        row.id: {"project": row.project_id, "experiment": row.experiment_id, "user": row.user_id}
        for row in opened
    }
    if unposted is not None:
        scopes[unposted.id] = {
            "project": unposted.project_id,
            "experiment": unposted.experiment_id,
            "user": unposted.user_id,
        }
    if not scopes:
        return OpenRuns([], {}, {})
    queue = await pool_queue.look(session, unposted=unposted)
    ended: dict[UUID, list[Spend]] = {}
    for spent in await spend_rows.spent_by_runs(session, [row.id for row in opened]):
        ended.setdefault(spent.run_id, []).append(spent)
    runs = [*await _running(session, queue), *_waiting(queue)]
    seen = {run.run_id for run in runs}
    # A run that is claimed between these reads is in neither list of the queue.
    runs += [OpenRun(row.id, None, row.status) for row in opened if row.id not in seen]
    return OpenRuns([run for run in runs if run.run_id in scopes], scopes, ended)


async def _running(session: Session, queue: QueueState) -> list[OpenRun]:
    own = [run for run, _ in queue.running]
    quotes = await quote_rows.of_runs(session, [run.id for run in own])
    projected = await projection.of_runs(session, own, quotes)
    quoted = {quote.run_id: quote.content.get("quantities") for quote in quotes}
    runs = []
    for run, left in queue.running:
        read = projected.get(run.id)
        quantities: Quantities | None = None if read is None else read.quantities.model_dump()
        if duration_s(quantities) is None or not _knows_use(quantities):
            quantities = quoted.get(run.id)
        whole_s = duration_s(quantities)
        if left is None or whole_s is None or not whole_s.value > 0:
            runs.append(OpenRun(run.id, run.name, "running"))
            continue
        # It uses its energy evenly, so the remaining share of energy equals that of time.
        used_ratio = 1 - min(left.value / whole_s.value, 1.0)
        now = Span3(0.0, 0.0, 0.0)
        runs.append(OpenRun(run.id, run.name, "running", now, _span(left), quantities, used_ratio))
    return runs


def _waiting(queue: QueueState) -> list[OpenRun]:
    runs = []
    for pool in queue.pools:
        names = {run.run_id: run.name for run in pool.queue.waiting}
        for run_id in pool.project_ids:
            start = pool.starts.get(run_id)
            quantities = pool.quoted.get(run_id)
            whole_s = duration_s(quantities)
            is_known = start is not None and whole_s is not None
            runs.append(
                OpenRun(
                    run_id,
                    names.get(run_id),
                    "queued",
                    _span(start) if is_known and start else None,
                    _span(whole_s) if is_known and whole_s else None,
                    quantities,
                )
            )
    return runs


def _knows_use(quantities: Quantities | None) -> bool:
    energy = (quantities or {}).get("facility_energy_kwh")
    return energy is not None and energy.get("value") is not None


def _span(range_s: Range) -> Span3:
    return Span3(range_s.value, range_s.low, range_s.high)


def expected_amount(budget: Budget, quantities: Quantities | None) -> Span3 | None:
    """An expected amount in the budget's unit; None if unknown or in another currency."""
    quantity = (quantities or {}).get(budget.metric)
    if quantity is None or quantity.get("value") is None:
        return None
    if budget.currency is not None and quantity.get("unit") != budget.currency:
        return None
    value = float(quantity["value"])
    low, high = quantity.get("low"), quantity.get("high")
    return Span3(value, value if low is None else low, value if high is None else high)
