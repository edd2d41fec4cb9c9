"""The burn-down of a budget: past use by day, and what its open runs are expected to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.budgets import burn_down as rows
from app.repositories.budgets import spend as spend_rows
from app.repositories.quotes import quotes as quote_rows
from app.schemas.burn_down import (
    BurnCrossing,
    BurnDownRead,
    BurnExpectation,
    BurnFanPoint,
    BurnPart,
    BurnPoint,
)
from app.services import pool_queue
from app.services.budgets import admin
from app.services.budgets.standing import BudgetState, amount_of, states, unit_of
from app.services.energy.labels import OTHER_PARTS, OTHER_PROJECTS, PRIVATE_PROJECTS
from app.services.pool_queue import QueueState
from app.services.principals import Principal
from app.services.quoting import projection
from app.services.starts import duration_s
from models import Budget
from pricetag.accounting.budgets.burn_down import Fan, OpenUse, Span3, fan
from pricetag.accounting.budgets.decision import ZERO
from pricetag.accounting.budgets.pieces import DAY, Days, midnight, pieces_of
from pricetag.accounting.forecast.projection import Range

MOST_POINTS = 400
"""Number of past points; of a longer period, every n-th day is one."""

FAN_POINTS = 48
MOST_PARTS = 50
CLOSED = "the budget is closed: open runs are not charged to it"
REACHED = "the limit is reached already"
NOT_REACHED = "the open runs with a known use do not reach the limit in this period"
NOTHING_OPEN = "no open run has a known use, start and end"
NOT_SURELY = "the open runs may not reach the limit in this period"
TOO_FAR = timedelta(days=36_500)


async def read(session: Session, by: Principal, budget_id: UUID) -> BurnDownRead:
    """The burn-down of a budget in its present period.

    Raises:
        BudgetNotFoundError: If there is no such budget that the principal may see.
    """
    budget = await admin.visible(session, by, budget_id)
    now = datetime.now(UTC)
    (state,) = await states(session, [budget], now)
    uses, unknown = await _open_uses(session, budget, now)
    expected = fan(float(state.standing.used), uses)
    return BurnDownRead(
        budget_id=budget.id,
        name=budget.name,
        unit=unit_of(budget),
        at=now,
        period_start=state.span.start,
        period_end=state.span.end,
        **{
            name: float(getattr(state.standing, name))
            for name in ("limit", "spent", "running", "reserved", "left")
        },
        points=await _points(session, state, now),
        projection=_projection(expected, uses, state, now),
        expected=_expectation(expected, uses, unknown),
        crossing=_crossing(expected, uses, state, now),
        by=_by(budget),
        parts=await _parts(session, state, by),
        by_source={source: float(used) for source, used in state.by_source.items()},
        unknown_runs=state.unknown_runs,
    )


def _by(budget: Budget) -> Any:
    return "user" if budget.scope in ("project", "experiment") else "project"


async def _points(session: Session, state: BudgetState, now: datetime) -> list[BurnPoint]:
    """Past use at the end of each UTC day of the period, and now."""
    pieces = pieces_of(state.span)
    spent = ZERO
    for edge in pieces.edges:
        if edge.start == state.span.start and edge.end != state.span.end:
            parts = await spend_rows.spent(session, state.budget, edge)
            spent = sum((part.amount or ZERO for part in parts), start=ZERO)
    today = now.astimezone(UTC).date()
    days = pieces.whole or Days(today, today)
    by_day = dict(await rows.by_day(session, state.budget, days))
    first = days.first or min(by_day, default=today)
    end = min(today, days.end or today)
    step = max(1, ((end - first).days + MOST_POINTS - 1) // MOST_POINTS)
    begin = state.span.start or midnight(first)
    points = [_point(state, begin, ZERO)]
    day = first
    while day < end:
        spent += by_day.get(day, ZERO)
        day += DAY
        if (day - first).days % step == 0 and midnight(day) > begin:
            points.append(_point(state, midnight(day), spent))
    last = now if state.span.end is None else min(now, state.span.end)
    return [*points, _point(state, last, state.standing.spent)]


def _point(state: BudgetState, at: datetime, spent: Decimal) -> BurnPoint:
    left = max(state.standing.limit - spent, ZERO)
    return BurnPoint(at=at, spent=float(spent), left=float(left))


async def _open_uses(session: Session, budget: Budget, now: datetime) -> tuple[list[OpenUse], int]:
    """What open runs are expected to use, and the number of those for which it is unknown."""
    if budget.closed_at is not None:
        return [], 0
    run_ids = await rows.open_runs(session, budget)
    if not run_ids:
        return [], 0
    queue = await pool_queue.look(session)
    used: dict[UUID, Decimal] = {}
    for ended in await spend_rows.spent_by_runs(session, run_ids):
        used[ended.run_id] = used.get(ended.run_id, ZERO) + (amount_of(budget, ended) or ZERO)
    uses = [
        *await _running_uses(session, budget, queue, run_ids),
        *_waiting_uses(budget, queue, run_ids, used),
    ]
    return uses, max(0, len(run_ids) - len(uses))


async def _running_uses(
    session: Session, budget: Budget, queue: QueueState, run_ids: set[UUID]
) -> list[OpenUse]:
    own = [(run, left) for run, left in queue.running if run.id in run_ids and left is not None]
    projected = await projection.of_runs(session, [run for run, _ in own])
    quotes = await quote_rows.of_runs(session, [run.id for run, _ in own])
    quoted = {quote.run_id: quote.content.get("quantities") for quote in quotes}
    uses = []
    for run, left in own:
        read = projected.get(run.id)
        quantities = None if read is None else read.quantities.model_dump()
        if duration_s(quantities) is None or _amount(budget, quantities) is None:
            quantities = quoted.get(run.id)
        total, whole_s = _amount(budget, quantities), duration_s(quantities)
        if total is None or whole_s is None or not whole_s.value > 0:
            continue
        # It uses its energy evenly: as much of it is left as of its time.
        used = total.value * (1 - min(left.value / whole_s.value, 1.0))
        rest = Span3(*(max(end - used, 0.0) for end in (total.value, total.low, total.high)))
        uses.append(OpenUse(rest, Span3(0.0, 0.0, 0.0), _span(left)))
    return uses


def _waiting_uses(
    budget: Budget, queue: QueueState, run_ids: set[UUID], used: Mapping[UUID, Decimal]
) -> list[OpenUse]:
    uses = []
    for pool in queue.pools:
        for run_id, start in pool.starts.items():
            quantities = pool.quoted.get(run_id)
            total, whole_s = _amount(budget, quantities), duration_s(quantities)
            if run_id not in run_ids or start is None or total is None or whole_s is None:
                continue
            before = float(used.get(run_id, ZERO))
            rest = Span3(*(max(end - before, 0.0) for end in (total.value, total.low, total.high)))
            uses.append(OpenUse(rest, _span(start), _span(whole_s)))
    return uses


def _span(range_s: Range) -> Span3:
    return Span3(range_s.value, range_s.low, range_s.high)


def _amount(budget: Budget, quantities: Mapping[str, Any] | None) -> Span3 | None:
    """An expected amount in the budget's unit; None if unknown or in another currency."""
    quantity = (quantities or {}).get(budget.metric)
    if quantity is None or quantity.get("value") is None:
        return None
    if budget.currency is not None and quantity.get("unit") != budget.currency:
        return None
    value = float(quantity["value"])
    low, high = quantity.get("low"), quantity.get("high")
    return Span3(value, value if low is None else low, value if high is None else high)


def _projection(
    expected: Fan, uses: Sequence[OpenUse], state: BudgetState, now: datetime
) -> list[BurnFanPoint]:
    """The fan from now to the end of the last open run, or of the period."""
    if not uses:
        return []
    last_s = min(
        max(curve[-1][0] for curve in (expected.low, expected.value, expected.high)),
        _left_s(state, now),
    )
    times_s = sorted({last_s * number / FAN_POINTS for number in range(FAN_POINTS + 1)})
    points = []
    for t_s in times_s:
        amounts = expected.at(t_s)
        at = now + timedelta(seconds=t_s)
        points.append(BurnFanPoint(at=at, value=amounts.value, low=amounts.low, high=amounts.high))
    return points


def _left_s(state: BudgetState, now: datetime) -> float:
    """Time until the period ends, in s; a century if it never does."""
    end = now + TOO_FAR if state.span.end is None else state.span.end
    return max(0.0, (end - now).total_seconds())


def _expectation(expected: Fan, uses: Sequence[OpenUse], unknown: int) -> BurnExpectation:
    return BurnExpectation(
        value=expected.value[-1][1],
        low=expected.low[-1][1],
        high=expected.high[-1][1],
        open_runs=len(uses),
        unknown_runs=unknown,
    )


def _crossing(
    expected: Fan, uses: Sequence[OpenUse], state: BudgetState, now: datetime
) -> BurnCrossing:
    if state.budget.closed_at is not None:
        return BurnCrossing(at=None, low=None, high=None, reason=CLOSED)
    if state.standing.is_spent:
        return BurnCrossing(at=None, low=None, high=None, reason=REACHED)
    if not uses:
        return BurnCrossing(at=None, low=None, high=None, reason=NOTHING_OPEN)
    times_s = expected.crossing(float(state.standing.limit), _left_s(state, now))
    at, low, high = (None if t is None else now + timedelta(seconds=t) for t in times_s)
    if low is None:
        return BurnCrossing(at=None, low=None, high=None, reason=NOT_REACHED)
    reason = None if high is not None else NOT_SURELY
    return BurnCrossing(at=at, low=low, high=high, reason=reason)


async def _parts(session: Session, state: BudgetState, by: Principal) -> list[BurnPart]:
    """Who spent how much, largest first; the smallest of many are one part."""
    hidden = PRIVATE_PROJECTS if by.project_id is None else OTHER_PROJECTS
    owners = await rows.by_owner(session, state.budget, state.span, by.viewer)
    total = float(state.standing.spent)
    amounts = [
        (name if is_visible else hidden, amount) for is_visible, name, amount in owners if amount
    ]
    if len(amounts) > MOST_PARTS:
        rest = sum((amount for _, amount in amounts[MOST_PARTS - 1 :]), start=ZERO)
        amounts = [*amounts[: MOST_PARTS - 1], (OTHER_PARTS, rest)]
    return [
        BurnPart(
            name=name,
            spent=float(amount),
            share_ratio=float(amount) / total if total else None,
        )
        for name, amount in amounts
    ]
