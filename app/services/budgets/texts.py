"""Messages about budgets: sentences with amounts, units and periods."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from app.services.budgets.standing import BudgetState, unit_of
from models import Budget
from pricetag.tag.figures import display_unit, number

PERIODS = {
    "total": "in all",
    "week": "this week",
    "month": "this month",
    "quarter": "this quarter",
    "year": "this year",
}
FIGURES = {"facility_energy_kwh": "energy", "co2e_kg": "emissions", "cost": "cost"}


LEAST_IN_UNIT, MOST_IN_UNIT = 0.01, 10_000.0
"""Amounts that read well in the unit of the budget's limit; others have their own unit."""


def figure(value: Decimal, budget: Budget) -> str:
    """An amount to at most four significant digits, in the unit of the budget's limit."""
    plain, unit = float(value), unit_of(budget)
    name, size = display_unit(float(budget.amount) or plain, unit)
    if plain and not LEAST_IN_UNIT <= abs(plain / size) < MOST_IN_UNIT:
        name, size = display_unit(plain, unit)
    shown = plain / size
    is_short = not shown or LEAST_IN_UNIT <= abs(shown) < MOST_IN_UNIT
    return f"{f'{shown:.4g}' if is_short else number(shown)} {name}"


def amount(budget: Budget) -> str:
    """``5 kg this month``."""
    return f"{figure(budget.amount, budget)} {PERIODS[budget.period]}"


def until(state: BudgetState) -> str:
    """The end of the budget's period in the budget's time zone; empty if it has no end."""
    end = state.span.end
    return "" if end is None else f", until {_local(end, state.budget.time_zone)}"


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def spent_text(state: BudgetState) -> str:
    """Reason why runs under the budget are stopped and no more may start."""
    used = figure(state.standing.used, state.budget)
    return (
        f"budget '{state.budget.name}' is used up: {used} of {amount(state.budget)}{until(state)}"
    )


def left_text(state: BudgetState) -> str:
    """``budget 'x' has 0.1 kg left of 5 kg this month, until ...``."""
    remaining = figure(state.standing.left, state.budget)
    promised = state.standing.reserved
    reservation = f", {figure(promised, state.budget)} reserved for open runs"
    return (
        f"budget '{state.budget.name}' has {remaining} left of {amount(state.budget)}"
        f"{reservation if promised else ''}{until(state)}"
    )


def refusal_text(state: BudgetState, quote: Decimal | None, method: str | None) -> str:
    """Reason why a run is not admitted: the remaining amount, and the run's quote."""
    metric = FIGURES[state.budget.metric]
    if quote is None:
        return f"{left_text(state)}; this run's {metric} cannot be estimated"
    needed = figure(quote, state.budget)
    basis = f" (by {method})" if method else ""
    return f"{left_text(state)}; this run is expected to need {needed}{basis}"


def unquoted_text(state: BudgetState, why: str) -> str:
    """Warning that a run was admitted although its use cannot be estimated."""
    return f"{left_text(state)}; this run was admitted without a reservation: {why}"


def threshold_text(state: BudgetState, ratio: float, promised: Decimal) -> str:
    """Warning that a threshold will be crossed if open runs use what they are expected to."""
    limit = state.budget.amount
    return (
        f"budget '{state.budget.name}': {float(promised / limit):.0%} of {amount(state.budget)} "
        f"is used or reserved, above the warning threshold of {ratio:.0%}{until(state)}"
    )
