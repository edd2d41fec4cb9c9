"""SQL of past, current and reserved spend.

Requests read balances (:mod:`app.repositories.budgets.balances`); the sums over all rows here are
the reference for checks of these balances.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Text,
    Uuid,
    any_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, Budget, Quote, Run, Spend
from pricetag.accounting.budgets.periods import Span

Row = dict[str, Any]
Amount = ColumnElement[Decimal | None]


@dataclass(frozen=True)
class SpentPart:
    """Spend with one kind of evidence; ``source`` is None for unknown amounts."""

    source: str | None
    amount: Decimal | None
    unknown_runs: int


async def replace(session: AsyncSession, run_id: uuid.UUID, rows: list[Row]) -> None:
    """Replaces the spend of a run's attempts."""
    await session.execute(delete(Spend).where(Spend.run_id == run_id))
    await add(session, rows)


async def add(session: AsyncSession, rows: list[Row]) -> None:
    """Adds rows in one statement: the balances follow once per statement."""
    if rows:
        await session.execute(insert(Spend).values(rows))


def amount_of_row(table: Any, budget: Budget) -> Amount:
    """The row's amount in the budget's metric; null if unknown or in another currency.

    Decimal, so that sums are exact and do not depend on the order of rows: of 0.1 kWh the
    decimal 0.1, and not its nearest double.
    """
    column: Amount = getattr(table, budget.metric).expression
    if budget.currency is None:
        return cast(cast(column, Text), Numeric)
    return case((table.currency == budget.currency, column), else_=None)


def within(budget: Budget) -> ColumnElement[bool]:
    """Whether the budget applies to a run."""
    if budget.scope == "lab":
        return true()
    columns = {
        "project": Run.project_id,
        "experiment": Run.experiment_id,
        "user": Run.created_by,
    }
    return columns[budget.scope] == budget.scope_id


def _within_any(budgets: Collection[Budget]) -> ColumnElement[bool]:
    """Whether any of the budgets applies to a run."""
    if any(budget.scope == "lab" for budget in budgets):
        return true()
    scopes = {(budget.scope, budget.scope_id): budget for budget in budgets}
    return or_(*map(within, scopes.values()))


def spent_within(budget: Budget) -> ColumnElement[bool]:
    """Whether the budget applies to a row of spend."""
    if budget.scope == "lab":
        return true()
    columns = {
        "project": Spend.project_id,
        "experiment": Spend.experiment_id,
        "user": Spend.user_id,
    }
    return columns[budget.scope] == budget.scope_id


async def spent(
    session: AsyncSession, budget: Budget, span: Span, *, besides: Collection[uuid.UUID] = ()
) -> list[SpentPart]:
    """Spend of the attempts that ended in a period, by kind of evidence.

    Args:
        session: Database session.
        budget: The budget, which sets the scope and the unit.
        span: The period.
        besides: Attempts to skip, since :func:`running` just returned them.
    """
    amount = amount_of_row(Spend, budget)
    source = case((amount.is_not(None), Spend.sources[budget.metric].astext), else_=None)
    unknown = func.count(Spend.run_id.distinct()).filter(amount.is_(None))
    query = select(
        source.label("source"), func.sum(amount).label("amount"), unknown.label("unknown_runs")
    ).where(spent_within(budget), Spend.attempt_id.not_in(besides))
    if span.start is not None:
        query = query.where(Spend.at >= span.start)
    if span.end is not None:
        query = query.where(Spend.at < span.end)
    rows = (await session.execute(query.group_by(source).order_by(source))).all()
    return [SpentPart(row.source, row.amount, row.unknown_runs) for row in rows]


async def reserved(
    session: AsyncSession, budget: Budget, *, besides: Collection[uuid.UUID] = ()
) -> Decimal:
    """Quoted amount of open runs that exceeds the spend of their earlier attempts.

    Args:
        session: Database session.
        budget: The budget, which sets the scope and the unit.
        besides: Runs to skip: the one being admitted, and those that :func:`running` returned.
    """
    promised = amount_of_row(Quote, budget)
    is_open = Run.status.in_(("queued", "running"))
    waiting = select(Run.id).where(is_open, within(budget))
    used = (
        select(Spend.run_id, func.sum(amount_of_row(Spend, budget)).label("amount"))
        .where(Spend.run_id.in_(waiting))
        .group_by(Spend.run_id)
        .subquery()
    )
    unused = func.greatest(promised - func.coalesce(used.c.amount, 0), 0)
    query = (
        select(func.coalesce(func.sum(unused), 0))
        .select_from(Run)
        .join(Quote, Quote.run_id == Run.id)
        .outerjoin(used, used.c.run_id == Run.id)
        .where(is_open, within(budget), promised.is_not(None), Run.id.not_in(besides))
    )
    amount: Decimal = (await session.execute(query)).scalar_one()
    return amount


async def running(session: AsyncSession, budgets: Collection[Budget]) -> Sequence[Any]:
    """The open attempts to which any of the budgets applies, each with its run's quote.

    Rows of attempt_id, number, run_id, project_id, experiment_id, user_id, node_name, site,
    components, devices, started_at, live, facility_energy_kwh, co2e_kg, cost, currency (the last
    four from the quote, null without one). ``components``, ``devices`` and ``live`` are JSON text,
    since the hardware of few attempts changes between requests.
    """
    if not budgets:
        return []
    query = (
        select(
            Attempt.id.label("attempt_id"),
            Attempt.number,
            Attempt.run_id,
            Run.project_id,
            Run.experiment_id,
            Run.created_by.label("user_id"),
            Attempt.node_name,
            Attempt.site,
            cast(Attempt.components, Text).label("components"),
            cast(Attempt.devices, Text).label("devices"),
            Attempt.started_at,
            cast(Attempt.live, Text).label("live"),
            Quote.facility_energy_kwh,
            Quote.co2e_kg,
            Quote.cost,
            Quote.currency,
        )
        .join(Run, Run.id == Attempt.run_id)
        .outerjoin(Quote, Quote.run_id == Run.id)
        .where(Attempt.ended_at.is_(None), _within_any(budgets))
        .order_by(Attempt.started_at, Attempt.id)
    )
    return (await session.execute(query)).all()


async def spent_by_runs(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> Sequence[Spend]:
    """Spend of the ended attempts of some runs."""
    if not run_ids:
        return []
    query = select(Spend).where(Spend.run_id == any_(literal(list(run_ids), ARRAY(Uuid))))
    query = query.execution_options(populate_existing=True)
    return (await session.execute(query)).scalars().all()
