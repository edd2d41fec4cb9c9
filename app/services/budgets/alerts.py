"""Thresholds of budgets: announced once per period, on the run that crossed them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from app.db import Session
from app.repositories.attempts import executions
from app.repositories.attempts.executions import Event
from app.repositories.budgets import budgets as budget_rows
from app.services.budgets.standing import BudgetState, states, unit_of
from models import Run
from pricetag.accounting.budgets.decision import crossed

KIND = "budget"
"""The kind of the events on a run's stream."""


async def announce(
    session: Session, run: Run, budget_states: Collection[BudgetState], now: datetime
) -> None:
    """Records crossed thresholds, once per period, and adds events to the run.

    Args:
        session: Committed by the caller, who holds the run's lock.
        run: The run that is running, or has just ended.
        budget_states: The states of its budgets.
        now: Present time.
    """
    events = []
    for state in budget_states:
        reached = crossed(state.budget.thresholds, state.standing)
        new = await budget_rows.add_alerts(
            session, state.budget.id, state.period_start, reached, state.standing.used
        )
        events += [Event(KIND, now, _payload(state, ratio)) for ratio in new]
    await executions.add_events(session, run.id, events)


async def announce_booked(session: Session, run: Run) -> None:
    """Same as ``announce``, for a run with newly booked energy."""
    concerned = await budget_rows.open_for(session, run)
    warning = [budget for budget in concerned if budget.thresholds]
    now = datetime.now(UTC)
    await announce(session, run, await states(session, warning, now, promised=False), now)


async def announce_running(
    session: Session, budget_states: Collection[BudgetState], now: datetime
) -> None:
    """Same as ``announce``, while runs are running: on each budget's longest-running run.

    Nothing is locked or written unless a threshold was crossed that is not announced yet.
    """
    for state in budget_states:
        if not state.running or not await _is_new(session, state):
            continue
        run = await executions.lock_run(session, state.running[0].run_id)
        if run is not None and run.status == "running":
            await announce(session, run, [state], now)


async def _is_new(session: Session, state: BudgetState) -> bool:
    reached = set(crossed(state.budget.thresholds, state.standing))
    if not reached:
        return False
    alerts = await budget_rows.alerts_in(session, [(state.budget.id, state.period_start)])
    return not reached <= {alert.threshold_ratio for alert in alerts}


def _payload(state: BudgetState, ratio: float) -> dict[str, object]:
    budget = state.budget
    return {
        "budget_id": str(budget.id),
        "budget": budget.name,
        "threshold_ratio": ratio,
        "used": float(state.standing.used),
        "limit": float(budget.amount),
        "unit": unit_of(budget),
        "period": budget.period,
        "period_end": state.span.end.isoformat() if state.span.end else None,
    }
