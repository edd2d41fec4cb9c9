"""SQL of a budget's use over time and by whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import func, literal, not_, select, text, true, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.budgets.spend import amount_of_row, spent_within
from models import Budget, Run, Spend, SpendBalance, User
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


async def by_user(session: AsyncSession, budget: Budget, span: Span) -> Sequence[Any]:
    """Amount spent by each user, from the rows of all attempts: of an experiment there are few.

    Returns:
        Rows ``(is_visible, name, source, amount)``, each with its kind of evidence.
    """
    amount = amount_of_row(Spend, budget)
    source = Spend.sources[budget.metric].astext
    query = (
        select(literal(True), User.name, source.label("source"), func.sum(amount).label("amount"))
        .select_from(Spend)
        .outerjoin(User, User.id == Spend.user_id)
        .where(spent_within(budget), amount.is_not(None))
        .group_by(User.name, source)
        .order_by(User.name, source)
    )
    if span.start is not None:
        query = query.where(Spend.at >= span.start)
    if span.end is not None:
        query = query.where(Spend.at < span.end)
    return (await session.execute(query)).all()


_STATE = text(
    "SELECT concat_ws(' ', "
    + ", ".join(
        "(SELECT count(*) || '/'"
        " || coalesce(bit_xor(hashtextextended(concat_ws(' ', t.id, t.ctid, t.xmin), 0)), 0)"
        f" FROM {rows} AS t)"
        for rows in (
            "(SELECT id, ctid, xmin FROM runs WHERE status IN ('queued', 'running'))",
            "(SELECT id, ctid, xmin FROM attempts WHERE ended_at IS NULL)",
            "(SELECT identity AS id, ctid, xmin FROM worker_processes)",
        )
    )
    + ")"
)


async def open_state(session: AsyncSession) -> str:
    """A text that changes whenever an open run, its attempt or a worker is written."""
    state: str = (await session.execute(_STATE)).scalar_one()
    return state


async def open_runs(session: AsyncSession) -> Sequence[Any]:
    """All open runs: rows of id, status, project_id, experiment_id and user_id."""
    query = select(
        Run.id, Run.status, Run.project_id, Run.experiment_id, Run.created_by.label("user_id")
    ).where(Run.status.in_(("queued", "running")))
    return (await session.execute(query)).all()
