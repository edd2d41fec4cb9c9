"""The open budgets in the order in which they are used up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from app.db import Session
from app.repositories.budgets import budgets as budget_rows
from app.schemas.budgets import BudgetRead
from app.schemas.burn_down import BudgetOutlook, BudgetOutlookItem
from app.services.budgets import admin
from app.services.budgets.standing import BudgetState, states
from app.services.outlook import burn_down, open_runs
from app.services.outlook.open_runs import OpenRuns
from app.services.principals import Principal

MOST = 200
"""Maximum number of budgets."""


Scope = tuple[Literal["project", "user"], UUID]
"""A project or a user, by ID."""


async def read(
    session: Session, by: Principal, opened: OpenRuns | None = None, *, of: Scope | None = None
) -> BudgetOutlook:
    """The open budgets that the principal may see, in the order in which they are used up.

    The open runs are added up once for all budgets.

    Args:
        session: Database session.
        by: The caller.
        opened: The open runs of the lab, if already read.
        of: Only the budgets of this project or user.
    """
    now = datetime.now(UTC)
    budgets = await budget_rows.page(
        session, by.viewer, name=None, closed=False, after=None, limit=MOST, of=of
    )
    if not budgets:
        return BudgetOutlook(at=now, items=[])
    opened = opened or await open_runs.shared(session)
    standing = await states(session, budgets, now)
    shown = await admin.reads_of(session, standing)
    items = [
        _item(state, read_of, opened, now) for state, read_of in zip(standing, shown, strict=True)
    ]
    return BudgetOutlook(at=now, items=sorted(items, key=_place))


def _item(
    state: BudgetState, shown: BudgetRead, opened: OpenRuns, now: datetime
) -> BudgetOutlookItem:
    added = opened.expected(state.budget)
    expected = added.fan.above(float(state.standing.used))
    return BudgetOutlookItem(
        budget=shown,
        expected=burn_down.expectation(expected, added.known, added.unknown),
        crossing=burn_down.crossing(expected, state, now, known=added.known, opened=added.runs),
    )


def _place(item: BudgetOutlookItem) -> tuple[bool, float, float, str]:
    """Sort key: used-up budgets first, then by time of crossing, then by used share."""
    budget, crossing = item.budget, item.crossing
    used = float("inf") if budget.used_ratio is None else budget.used_ratio
    is_spent = budget.spent + budget.running >= budget.limit
    soonest = crossing.at or crossing.low
    at_s = float("inf") if soonest is None else soonest.timestamp()
    return not is_spent, at_s, -used, budget.name
