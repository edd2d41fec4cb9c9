"""SQL of a budget's use over time and by whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import case, func, not_, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.budgets.spend import amount_of_row, spent_within
from app.repositories.people.visibility import Viewer, sees_project_id
from models import Budget, Project, Run, Spend, SpendBalance, User
from models.balance import LAB
from pricetag.accounting.budgets.periods import Span
from pricetag.accounting.budgets.pieces import Days


async def by_day(
    session: AsyncSession, budget: Budget, days: Days
) -> Sequence[tuple[date, Decimal]]:
    """Amount spent on each UTC day with any, in order, from the balances."""
    amount = getattr(SpendBalance, budget.metric)
    query = select(SpendBalance.day.label("day"), amount.label("amount")).where(
        SpendBalance.scope == budget.scope,
        SpendBalance.scope_id == (budget.scope_id or LAB),
        SpendBalance.grain == "day",
    )
    if budget.currency is not None:
        query = query.where(SpendBalance.currency == budget.currency)
    if days.first is not None:
        query = query.where(SpendBalance.day >= days.first)
    if days.end is not None:
        query = query.where(SpendBalance.day < days.end)
    # Folded lines and fresh ones have an index each.
    lines = union_all(
        query.where(SpendBalance.folded), query.where(not_(SpendBalance.folded))
    ).subquery()
    summed = select(lines.c.day, func.sum(lines.c.amount)).group_by(lines.c.day)
    rows = (await session.execute(summed.order_by(lines.c.day))).all()
    return [(row[0], row[1]) for row in rows]


async def currencies(session: AsyncSession, span: Span) -> list[str]:
    """Currencies in which the lab has spent in a period of whole UTC days, in order."""
    query = (
        select(SpendBalance.currency)
        .distinct()
        .where(
            SpendBalance.scope == "lab",
            SpendBalance.scope_id == LAB,
            SpendBalance.grain == "day",
            SpendBalance.day >= span.start.date() if span.start else true(),
            SpendBalance.day < span.end.date() if span.end else true(),
            SpendBalance.currency.is_not(None),
        )
    )
    lines = union_all(
        query.where(SpendBalance.folded), query.where(not_(SpendBalance.folded))
    ).subquery()
    rows = select(lines.c.currency).distinct().order_by(lines.c.currency)
    return list(await session.scalars(rows))


async def by_owner(
    session: AsyncSession, budget: Budget, span: Span, viewer: Viewer
) -> Sequence[Any]:
    """Amount spent by each user (of a project or an experiment), else of each project.

    Returns:
        Rows ``(is_visible, name, amount)``, largest amount first; hidden projects are one row.
    """
    of_users = budget.scope in ("project", "experiment")
    seen = true() if of_users else sees_project_id(viewer, Spend.project_id)
    owner = Spend.user_id if of_users else Spend.project_id
    amount = amount_of_row(Spend, budget)
    query = select(seen.label("seen"), owner.label("owner"), amount.label("amount"))
    query = query.where(spent_within(budget))
    if span.start is not None:
        query = query.where(Spend.at >= span.start)
    if span.end is not None:
        query = query.where(Spend.at < span.end)
    part = query.subquery()
    table = User if of_users else Project
    seen_name = case((part.c.seen, table.name), else_=None)
    named = (
        select(part.c.seen, seen_name.label("name"), part.c.amount)
        .outerjoin(table, table.id == part.c.owner)
        .subquery()
    )
    grouped = select(named.c.seen, named.c.name, func.sum(named.c.amount))
    rows = (await session.execute(grouped.group_by(named.c.seen, named.c.name))).all()
    return sorted(rows, key=lambda row: (-(row[2] or 0), row[1] or ""))


async def open_runs(session: AsyncSession) -> Sequence[Any]:
    """All open runs: rows of id, status, project_id, experiment_id and user_id."""
    query = select(
        Run.id, Run.status, Run.project_id, Run.experiment_id, Run.created_by.label("user_id")
    ).where(Run.status.in_(("queued", "running")))
    return (await session.execute(query)).all()
