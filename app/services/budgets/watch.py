"""Checks once a second whether running attempts have used up a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.db import Session
from app.repositories.budgets import balances
from app.repositories.budgets import budgets as budget_rows
from app.repositories.budgets.spend import SpentPart
from app.services.billing.live_use import Rates
from app.services.budgets import alerts as budget_alerts
from app.services.budgets.standing import BudgetState, span_of, states
from app.services.budgets.texts import spent_text
from models import Budget

BUDGET_EXCEEDED = "budget-exceeded"

SPENT_HOLDS_S = 2.0
"""How long the total use of ended attempts is cached. In that time, a budget may appear less used
than it is, never more."""


@dataclass(frozen=True, slots=True)
class StopOrder:
    """Why an attempt must stop.

    Attributes:
        code: ``budget-exceeded``.
        message: The reason, which names the budget.
    """

    code: str
    message: str


class BudgetWatch:
    """One worker's watch over the budgets of its attempts.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rates = Rates(clock)
        self._spent: dict[tuple[UUID, object], tuple[float, list[SpentPart]]] = {}

    async def look(self, session: Session, attempt_ids: Collection[UUID]) -> dict[UUID, StopOrder]:
        """Finds the attempts of a worker that must stop, and announces crossed thresholds.

        A budget with ``stops`` stops everything that runs under it once it is used up.

        Args:
            session: Committed by the caller.
            attempt_ids: The open attempts of the worker.
        """
        if not attempt_ids:
            return {}
        concerned = await budget_rows.of_attempts(session, attempt_ids)
        watched = [budget for budget in concerned if budget.stops or budget.thresholds]
        if not watched:
            return {}
        now = datetime.now(UTC)
        spent = await self._spent_of(session, watched, now)
        budget_states = await states(
            session, watched, now, rates=self._rates, spent=spent, promised=False
        )
        await budget_alerts.announce_running(session, budget_states, now)
        return _orders(budget_states, set(attempt_ids))

    async def _spent_of(
        self, session: Session, budgets: Collection[Budget], now: datetime
    ) -> dict[UUID, list[SpentPart]]:
        now_s = self._clock()
        fresh = {
            key: (at_s, parts)
            for key, (at_s, parts) in self._spent.items()
            if now_s - at_s < SPENT_HOLDS_S
        }
        stale = [budget for budget in budgets if _period(budget, now) not in fresh]
        amounts = await balances.amounts(
            session, [(budget, span_of(budget, now)) for budget in stale], promised=False
        )
        for budget, amount in zip(stale, amounts, strict=True):
            fresh[_period(budget, now)] = (now_s, amount.spent)
        self._spent = fresh
        return {budget.id: fresh[_period(budget, now)][1] for budget in budgets}


def _period(budget: Budget, now: datetime) -> tuple[UUID, object]:
    return budget.id, span_of(budget, now).start


def _orders(budget_states: Collection[BudgetState], own: set[UUID]) -> dict[UUID, StopOrder]:
    orders: dict[UUID, StopOrder] = {}
    for state in budget_states:
        if not (state.budget.stops and state.standing.is_spent):
            continue
        order = StopOrder(BUDGET_EXCEEDED, spent_text(state))
        for running in state.running:
            if running.attempt_id in own:
                orders.setdefault(running.attempt_id, order)
    return orders
