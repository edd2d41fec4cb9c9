"""State of budgets: spent, running and reserved amounts in their present period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from app.db import Session
from app.repositories.budgets import balances, spend
from app.repositories.budgets.spend import SpentPart
from app.services.billing.live_use import CURRENT_RATES, LiveUse, Rates
from app.services.billing.live_use import of_running as live_uses
from models import Budget, Spend
from pricetag.accounting.budgets.decision import ZERO, Standing, total, unused
from pricetag.accounting.budgets.periods import Period, Span, period_at, zone_of

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of a period without a start."""

UNITS = {"facility_energy_kwh": "kWh", "co2e_kg": "kg"}

SpentParts = Mapping[UUID, Sequence[SpentPart]]


@dataclass(frozen=True, slots=True)
class Running:
    """An open attempt and its run."""

    attempt_id: UUID
    run_id: UUID


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget in its present period.

    Attributes:
        budget: The budget.
        span: The period.
        standing: Its amounts.
        by_source: Spent amount by weakest evidence.
        unknown_runs: Number of runs with unknown use, not included in the amounts.
        running: The open attempts under the budget, oldest first.
        unmetered: Number of open attempts with unknown use, which ``unknown_runs`` includes.
    """

    budget: Budget
    span: Span
    standing: Standing
    by_source: Mapping[str, Decimal] = field(default_factory=dict)
    unknown_runs: int = 0
    running: tuple[Running, ...] = ()
    unmetered: int = 0

    @property
    def period_start(self) -> datetime:
        """Start of the period, for the record of its alerts."""
        return self.span.start or BEGINNING


def unit_of(budget: Budget) -> str:
    """The unit of a budget's amounts."""
    return budget.currency or UNITS[budget.metric]


def span_of(budget: Budget, now: datetime) -> Span:
    """The period of a budget that contains a time; the last period of a closed budget."""
    period = cast(Period, budget.period)  # the database allows no other
    at = now if budget.closed_at is None else min(now, budget.closed_at)
    return period_at(period, zone_of(budget.time_zone), at)


def amount_of(budget: Budget, figures: Any) -> Decimal | None:
    """The amount in the budget's metric; None where unknown or in another currency."""
    value = getattr(figures, budget.metric)
    if value is None or (budget.currency is not None and figures.currency != budget.currency):
        return None
    return value if isinstance(value, Decimal) else Decimal(str(value))


async def states(
    session: Session,
    budgets: Collection[Budget],
    now: datetime,
    *,
    rates: Rates | None = None,
    spent: SpentParts | None = None,
    without: UUID | None = None,
    promised: bool = True,
) -> list[BudgetState]:
    """The present state of budgets.

    Args:
        session: Database session.
        budgets: The budgets.
        now: Present time: decides the periods, and the hour of factors for running attempts.
        rates: Cached factors of running attempts; by default those of this process, which are
            as entered now.
        spent: Amounts spent, if already read.
        without: A run whose quote does not count: the one that is being admitted.
        promised: Whether to include quotes; without them nothing is reserved.
    """
    if not budgets:
        return []
    opened = [budget for budget in budgets if budget.closed_at is None]
    # Each statement sees its own snapshot, and runs change state in between: in this order no
    # run is missed. A run that is claimed in between counts as reserved; an attempt that ends in
    # between counts only as running.
    rows = await spend.running(session, opened)
    attempts = [row.attempt_id for row in rows]
    if spent is None or promised:
        amounts = await balances.amounts(
            session,
            [(budget, span_of(budget, now)) for budget in budgets],
            attempts=attempts,
            runs=[row.run_id for row in rows] + ([] if without is None else [without]),
            promised=promised,
        )
    else:
        amounts = [balances.Amounts() for _ in budgets]
    uses = await live_uses(session, rows, now, rates or CURRENT_RATES)
    earlier: dict[UUID, list[Spend]] = defaultdict(list)
    resumed = [row.run_id for row in rows if row.number > 1] if promised else []
    for row in await spend.spent_by_runs(session, resumed):
        if row.attempt_id not in attempts:
            earlier[row.run_id].append(row)
    running = [Running(row.attempt_id, row.run_id) for row in rows]
    numbers = _by_scope(rows)
    # The amounts of hundreds of attempts are the same for all budgets of one unit.
    by_unit: dict[tuple[str, str | None], list[_Use]] = {}
    budget_states = []
    for budget, amount in zip(budgets, amounts, strict=True):
        is_open, unit = budget.closed_at is None, (budget.metric, budget.currency)
        if unit not in by_unit:
            by_unit[unit] = [
                _use(budget, row, uses[row.attempt_id], earlier.get(row.run_id, ())) for row in rows
            ]
        own = numbers.get((budget.scope, budget.scope_id), ()) if is_open else ()
        parts = amount.spent if spent is None else spent[budget.id]
        state = _state(
            budget,
            now,
            parts,
            amount.reserved if is_open else ZERO,
            [running[number] for number in own],
            [by_unit[unit][number] for number in own],
        )
        budget_states.append(state if promised else _without_promises(state))
    return budget_states


def _without_promises(state: BudgetState) -> BudgetState:
    return replace(state, standing=replace(state.standing, reserved=ZERO))


@dataclass(frozen=True, slots=True)
class _Use:
    """Use of an open attempt so far, and the amount that its run still reserves, in one unit."""

    used: Decimal | None
    reserved: Decimal


def _use(budget: Budget, row: Any, use: LiveUse, ended: Sequence[Spend]) -> _Use:
    used, quoted = amount_of(budget, use), amount_of(budget, row)
    if quoted is None:
        return _Use(used, ZERO)
    before = total([amount_of(budget, spend) for spend in ended])[0] if ended else ZERO
    return _Use(used, unused(quoted, before + (used or ZERO)))


def _by_scope(rows: Sequence[Any]) -> Mapping[tuple[str, UUID | None], Sequence[int]]:
    """The numbers of the rows whose runs fall under each scope."""
    numbers: dict[tuple[str, UUID | None], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        numbers["lab", None].append(number)
        for scope in ("project", "experiment", "user"):
            scope_id = getattr(row, f"{scope}_id")
            if scope_id is not None:
                numbers[scope, scope_id].append(number)
    return numbers


def _state(
    budget: Budget,
    now: datetime,
    parts: Sequence[SpentPart],
    reserved_by_others: Decimal,
    running: Sequence[Running],
    uses: Sequence[_Use],
) -> BudgetState:
    used, unmetered = total([use.used for use in uses])
    by_source = {part.source: part.amount for part in parts if part.source and part.amount}
    return BudgetState(
        budget=budget,
        span=span_of(budget, now),
        standing=Standing(
            limit=budget.amount,
            spent=sum((part.amount or ZERO for part in parts), start=ZERO),
            running=used,
            reserved=sum((use.reserved for use in uses), start=reserved_by_others),
        ),
        by_source=by_source,
        unknown_runs=unmetered + sum(part.unknown_runs for part in parts),
        running=tuple(running),
        unmetered=unmetered,
    )
