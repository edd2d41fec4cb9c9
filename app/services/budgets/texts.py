"""What budgets say to people: sentences with figures, units and periods."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from app.services.budgets.standing import BudgetState, unit_of
from models import Budget

PERIODS = {
    "total": "in all",
    "week": "this week",
    "month": "this month",
    "quarter": "this quarter",
    "year": "this year",
}
FIGURES = {"facility_energy_kwh": "energy", "co2e_kg": "emissions", "cost": "cost"}


def figure(value: Decimal, unit: str) -> str:
    """A figure to four significant digits, or as exact as it is."""
    return f"{float(value):.4g} {unit}"


def amount(budget: Budget) -> str:
    """``5 kg this month``."""
    return f"{figure(budget.amount, unit_of(budget))} {PERIODS[budget.period]}"


def until(state: BudgetState) -> str:
    """When its period ends, in its own time zone; empty where it never does."""
    end = state.span.end
    return "" if end is None else f", until {_local(end, state.budget.time_zone)}"


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def spent_text(state: BudgetState) -> str:
    """Why what runs under the budget stops, and nothing more begins."""
    used = figure(state.standing.used, unit_of(state.budget))
    return (
        f"budget '{state.budget.name}' is used up: {used} of {amount(state.budget)}{until(state)}"
    )


def left_text(state: BudgetState) -> str:
    """``budget 'x' has 0.1 kg left of 5 kg this month, until ...``."""
    left = figure(state.standing.left, unit_of(state.budget))
    promised = state.standing.reserved
    waiting = f", {figure(promised, unit_of(state.budget))} promised to open runs"
    return (
        f"budget '{state.budget.name}' has {left} left of {amount(state.budget)}"
        f"{waiting if promised else ''}{until(state)}"
    )


def refusal_text(state: BudgetState, quote: Decimal | None, method: str | None) -> str:
    """Why a run is not admitted: what is left, and what its quote says."""
    what = FIGURES[state.budget.metric]
    if quote is None:
        return f"{left_text(state)}; nobody can say what this run's {what} will be"
    wanted = figure(quote, unit_of(state.budget))
    basis = f" (by {method})" if method else ""
    return f"{left_text(state)}; this run is expected to need {wanted}{basis}"


def unquoted_text(state: BudgetState, why: str) -> str:
    """That a run was admitted although nobody knows what it will use."""
    return f"{left_text(state)}; this run was admitted without reserving any of it: {why}"


def threshold_text(state: BudgetState, ratio: float, promised: Decimal) -> str:
    """That a threshold will be crossed when open runs use what they are expected to."""
    limit = state.budget.amount
    return (
        f"budget '{state.budget.name}': {float(promised / limit):.0%} of {amount(state.budget)} "
        f"is used or promised, past the warning at {ratio:.0%}{until(state)}"
    )
