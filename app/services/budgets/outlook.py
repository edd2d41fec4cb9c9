"""The open budgets in the order in which they are used up."""

from __future__ import annotations

from datetime import UTC, datetime

from app.db import Session
from app.repositories.budgets import budgets as budget_rows
from app.schemas.burn_down import BudgetOutlook, BudgetOutlookItem
from app.services import burn_down
from app.services.budgets import admin, open_runs
from app.services.budgets.open_runs import OpenRuns
from app.services.budgets.standing import states
from app.services.principals import Principal
from pricetag.accounting.budgets.burn_down import fan

MOST = 200
"""Maximum number of budgets."""


async def read(session: Session, by: Principal, opened: OpenRuns | None = None) -> BudgetOutlook:
    """The open budgets that the principal may see, those that are used up soonest first.

    Args:
        session: Database session.
        by: The caller.
        opened: The open runs of the lab, if already read.
    """
    now = datetime.now(UTC)
    budgets = await budget_rows.page(
        session, by.viewer, name=None, closed=False, after=None, limit=MOST
    )
    opened = opened or await open_runs.read(session)
    shown = await admin.reads(session, budgets)
    items = []
    for state, read_of in zip(await states(session, budgets, now), shown, strict=True):
        under = opened.under(state.budget)
        uses = [use for _, use in under if use is not None]
        expected = fan(float(state.standing.used), uses)
        items.append(
            BudgetOutlookItem(
                budget=read_of,
                expected=burn_down.expectation(expected, uses, len(under) - len(uses)),
                crossing=burn_down.crossing(
                    expected, state, now, known=len(uses), opened=len(under)
                ),
            )
        )
    return BudgetOutlook(at=now, items=sorted(items, key=_place))


def _place(item: BudgetOutlookItem) -> tuple[bool, float, float, str]:
    """Used up, then by time of crossing, then by share."""
    budget, crossing = item.budget, item.crossing
    used = float("inf") if budget.used_ratio is None else budget.used_ratio
    is_spent = budget.spent + budget.running >= budget.limit
    soonest = crossing.at or crossing.low
    at_s = float("inf") if soonest is None else soonest.timestamp()
    return not is_spent, at_s, -used, budget.name
