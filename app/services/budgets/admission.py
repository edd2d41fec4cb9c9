"""Admission by budgets: which runs may be queued, and which queued runs may no longer start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from app.db import Session
from app.repositories.budgets import budgets as budget_rows
from app.schemas.common import FieldProblem
from app.services.budgets.standing import BudgetState, states
from app.services.budgets.texts import (
    FIGURES,
    refusal_text,
    spent_text,
    threshold_text,
    unquoted_text,
)
from app.services.budgets.watch import BUDGET_EXCEEDED
from app.services.errors import ConflictError
from models import Budget, Run
from pricetag.accounting.budgets.decision import ZERO, Standing, crossed, decide

HINT = "request less, wait for the next period, or ask an admin to raise the budget"
HINT_TOTAL = "request less, or ask an admin to raise the budget"
"""For a budget without periods."""


class BudgetExceededError(ConflictError):
    """The run would exceed a budget, or a budget is used up."""

    code = "budget-exceeded"

    def __init__(self, reasons: Sequence[str], *, has_periods: bool = True) -> None:
        hint = HINT if has_periods else HINT_TOTAL
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        super().__init__(f"The run is not admitted: {reasons[0]}{more}.")
        self.errors = [FieldProblem(field=None, message=reason, hint=hint) for reason in reasons]


class Figure(Protocol):
    """A quantity with its unit."""

    @property
    def value(self) -> float | None: ...
    @property
    def unit(self) -> str: ...


class Draft(Protocol):
    """A quote of a run that awaits admission."""

    @property
    def method(self) -> str: ...
    @property
    def facility_energy_kwh(self) -> Figure | None: ...
    @property
    def co2e_kg(self) -> Figure | None: ...
    @property
    def cost(self) -> Figure | None: ...


async def admit(session: Session, run: Run, draft: Draft | None) -> list[str]:
    """Decides whether a new run may be queued; other runs under the same budgets wait.

    The budgets that the run falls under are locked, in the order of their ids, until the
    caller's transaction ends; the caller also stores the quote in it, which then counts as
    reserved. So of two runs that need the rest of a budget, the second sees the first.

    Args:
        session: Committed by the caller.
        run: The run to queue: its project, experiment and author decide on the budgets.
        draft: Its quote; None if it has none.

    Returns:
        Warnings for its author: thresholds that will be crossed, and budgets under which it was
        admitted although its use is unknown.

    Raises:
        BudgetExceededError: If a budget is used up, or has less left than the quote.
    """
    concerned = await budget_rows.open_for(session, run, lock=True)
    budget_states = await states(session, concerned, datetime.now(UTC), without=run.id)
    method = draft.method if draft is not None else None
    quotes = {state.budget.id: _quoted(state.budget, draft) for state in budget_states}
    refusing = [
        state
        for state in budget_states
        if state.budget.refuses and decide(state.standing, quotes[state.budget.id][0]) != "admitted"
    ]
    if refusing:
        raise BudgetExceededError(
            [refusal_text(state, quotes[state.budget.id][0], method) for state in refusing],
            has_periods=all(state.span.end is not None for state in refusing),
        )
    return [text for state in budget_states for text in _warnings(state, *quotes[state.budget.id])]


def _quoted(budget: Budget, draft: Draft | None) -> tuple[Decimal | None, str]:
    """The quoted amount in the budget's unit, else None and the reason."""
    metric = FIGURES[budget.metric]
    quantity: Any = getattr(draft, budget.metric, None)
    if quantity is None or quantity.value is None:
        return None, f"its {metric} cannot be estimated"
    if budget.currency is not None and quantity.unit != budget.currency:
        units = f"quoted in {quantity.unit}, the budget is in {budget.currency}"
        return None, f"its {metric} is {units}"
    return Decimal(str(quantity.value)), ""


def _warnings(state: BudgetState, quote: Decimal | None, why: str) -> list[str]:
    standing = state.standing
    texts = [unquoted_text(state, why)] if quote is None else []
    promised = standing.used + standing.reserved + (quote or ZERO)
    past = crossed(state.budget.thresholds, Standing(standing.limit, spent=promised))
    if past and state.budget.amount:
        texts.append(threshold_text(state, past[-1], promised))
    return texts


async def why_not_start(session: Session, run: Run) -> dict[str, Any] | None:
    """The reason why a queued run may not start: a budget that is used up.

    Reservations, its own or of others, do not count here: the run was already admitted. Budgets
    that only warn do not keep it from starting.
    """
    concerned = await budget_rows.open_for(session, run)
    holding = [budget for budget in concerned if budget.refuses or budget.stops]
    for state in await states(session, holding, datetime.now(UTC), promised=False):
        if state.standing.is_spent:
            return {"code": BUDGET_EXCEEDED, "message": spent_text(state)}
    return None
