"""The burn-down of a budget: past use by day, and the expected use of its open runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from app.db import Session
from app.repositories.budgets import burn_down as rows
from app.repositories.budgets import spend as spend_rows
from app.repositories.energy import work
from app.schemas.burn_down import (
    BurnCrossing,
    BurnDownRead,
    BurnExpectation,
    BurnFanPoint,
    BurnOpenRun,
    BurnPart,
    BurnPoint,
)
from app.services import access
from app.services.budgets import admin
from app.services.budgets.standing import BudgetState, states, unit_of
from app.services.energy.labels import OTHER_PARTS, OTHER_PROJECTS, PRIVATE_PROJECTS
from app.services.outlook import open_runs
from app.services.outlook.open_runs import OpenRun, OpenRuns
from app.services.principals import Principal
from models import Budget
from pricetag.accounting.budgets.burn_down import Fan, OpenUse, fan
from pricetag.accounting.budgets.decision import ZERO
from pricetag.accounting.budgets.pieces import DAY, Days, midnight, pieces_of
from pricetag.accounting.quantity.quantity import Source, weakest

MOST_POINTS = 400
"""Maximum number of past points; in a longer period, every n-th day is a point."""

FAN_POINTS = 48
MOST_PARTS = 50
MOST_RUNS = 50
CLOSED = "the budget is closed: open runs are not charged to it"
REACHED = "the limit has already been reached"
NOT_REACHED = "the open runs with a known use do not reach the limit in this period"
NOTHING_OPEN = "no run is queued or running, so no further use is expected"
NOTHING_KNOWN = "no open run has a known use, start and end"
NOT_SURELY = "the open runs may not reach the limit in this period"
TOO_FAR = timedelta(days=36_500)


async def read(session: Session, by: Principal, budget_id: UUID) -> BurnDownRead:
    """The burn-down of a budget in its present period.

    Raises:
        BudgetNotFoundError: If there is no such budget that the principal may see.
    """
    budget = await admin.visible(session, by, budget_id)
    return await of(session, by, budget, await open_runs.shared(session))


async def of(
    session: Session,
    by: Principal,
    budget: Budget,
    opened: OpenRuns,
    *,
    without: Collection[UUID] = (),
    unposted: UUID | None = None,
) -> BurnDownRead:
    """The burn-down of a budget with these open runs.

    Args:
        session: Database session.
        by: The caller, who may see the budget.
        budget: The budget.
        opened: The open runs of the lab.
        without: Open runs to skip.
        unposted: A run that the caller considers posting.
    """
    now = datetime.now(UTC)
    (state,) = await states(session, [budget], now)
    under = opened.under(budget, without)
    uses = [use for _, use in under if use is not None]
    expected = fan(float(state.standing.used), uses)
    listed, hidden_runs = await _open_runs(session, by, under, now, unposted)
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
        expected=expectation(expected, len(uses), len(under) - len(uses)),
        crossing=crossing(expected, state, now, known=len(uses), opened=len(under)),
        open_runs=listed,
        hidden_runs=hidden_runs,
        by=_by(budget),
        parts=await _parts(session, state, by),
        by_source={source: float(used) for source, used in state.by_source.items()},
        unknown_runs=state.unknown_runs,
    )


async def _open_runs(
    session: Session,
    by: Principal,
    under: Sequence[tuple[OpenRun, OpenUse | None]],
    now: datetime,
    unposted: UUID | None,
) -> tuple[list[BurnOpenRun], int]:
    """The largest open runs that the principal may see, and how many are hidden from them."""
    visible = await access.visible_runs(session, by, [run.run_id for run, _ in under])
    visible |= {unposted} if unposted is not None else set()
    shown = [each for each in under if each[0].run_id in visible]
    largest = sorted(shown, key=lambda each: -each[1].amount.value if each[1] else 1.0)[:MOST_RUNS]
    return [_open_run(run, use, now) for run, use in largest], len(under) - len(shown)


def _open_run(run: OpenRun, use: OpenUse | None, now: datetime) -> BurnOpenRun:
    figures: dict[str, Any] = dict.fromkeys(("value", "low", "high", "starts_at", "ends_at"))
    if use is not None:
        starts_s = min(use.start_s.value, TOO_FAR.total_seconds())
        ends_s = min(starts_s + use.duration_s.value, TOO_FAR.total_seconds())
        figures = {
            "value": use.amount.value,
            "low": use.amount.low,
            "high": use.amount.high,
            "starts_at": now + timedelta(seconds=starts_s),
            "ends_at": now + timedelta(seconds=ends_s),
        }
    return BurnOpenRun(run_id=run.run_id, name=run.name, status=run.status, **figures)


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
    return [*points, _point(state, last, state.standing.used)]


def _point(state: BudgetState, at: datetime, spent: Decimal) -> BurnPoint:
    left = max(state.standing.limit - spent, ZERO)
    return BurnPoint(at=at, spent=float(spent), left=float(left))


def _projection(
    expected: Fan, uses: Sequence[OpenUse], state: BudgetState, now: datetime
) -> list[BurnFanPoint]:
    """The fan from now to the end of the last open run, or of the period."""
    if not uses:
        return []
    last_s = min(expected.last_s, _left_s(state, now))
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


def expectation(expected: Fan, known: int, unknown: int) -> BurnExpectation:
    """Expected use once the open runs have ended; ``unknown`` of them are not in any figure."""
    at_end = expected.end
    return BurnExpectation(
        value=at_end.value,
        low=at_end.low,
        high=at_end.high,
        open_runs=known,
        unknown_runs=unknown,
    )


def crossing(
    expected: Fan, state: BudgetState, now: datetime, *, known: int, opened: int
) -> BurnCrossing:
    """When open runs reach the limit of a budget.

    Args:
        expected: Their expected use.
        state: The budget's state.
        now: Present time.
        known: Number of open runs whose use is known.
        opened: Number of all open runs under the budget.
    """
    if state.budget.closed_at is not None:
        return BurnCrossing(at=None, low=None, high=None, reason=CLOSED)
    if state.standing.is_spent:
        return BurnCrossing(at=None, low=None, high=None, reason=REACHED)
    if not known:
        why = NOTHING_KNOWN if opened else NOTHING_OPEN
        return BurnCrossing(at=None, low=None, high=None, reason=why)
    times_s = expected.crossing(float(state.standing.limit), _left_s(state, now))
    at, low, high = (None if t is None else now + timedelta(seconds=t) for t in times_s)
    if low is None:
        return BurnCrossing(at=None, low=None, high=None, reason=NOT_REACHED)
    reason = None if high is not None else NOT_SURELY
    return BurnCrossing(at=at, low=low, high=high, reason=reason)


async def _parts(session: Session, state: BudgetState, by: Principal) -> list[BurnPart]:
    """Spent amounts by user, largest first; the smallest are combined."""
    hidden = PRIVATE_PROJECTS if by.project_id is None else OTHER_PROJECTS
    if state.budget.scope == "experiment":
        lines = await rows.by_user(session, state.budget, state.span)
    else:
        lines = await work.spent_by_owner(session, state.budget, state.span, by.viewer)
    owned: dict[str | None, dict[str | None, Decimal]] = defaultdict(dict)
    for is_visible, name, source, amount in lines:
        if amount:
            used = owned[name if is_visible else hidden]
            used[source] = used.get(source, ZERO) + amount
    parts = sorted(
        (
            (name, sum(used.values(), start=ZERO), {each for each in used if each})
            for name, used in owned.items()
        ),
        key=lambda part: (-part[1], part[0] or ""),
    )
    if len(parts) > MOST_PARTS:
        small_parts = parts[MOST_PARTS - 1 :]
        amount = sum((part[1] for part in small_parts), start=ZERO)
        sources = set[str]().union(*(part[2] for part in small_parts))
        parts = [*parts[: MOST_PARTS - 1], (OTHER_PARTS, amount, sources)]
    total = float(state.standing.spent)
    return [
        BurnPart(
            name=name,
            spent=float(amount),
            source=weakest(*cast(set[Source], sources)) if sources else None,
            share_ratio=float(amount) / total if total else None,
        )
        for name, amount, sources in parts
    ]
