"""SQL of budgets, their locks and their alerts."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project, sees_project_id
from models import Attempt, Budget, BudgetAlert, Experiment, Project, Run, User


async def add(session: AsyncSession, budget: Budget) -> bool:
    """Adds a budget; returns False if its name is in use."""
    values = {
        column.key: getattr(budget, column.key)
        for column in Budget.__mapper__.columns
        if getattr(budget, column.key) is not None
    }
    statement = (
        insert(Budget)
        .values(values | {"thresholds": budget.thresholds})
        .on_conflict_do_nothing(index_elements=[Budget.name])
        .returning(Budget.id)
    )
    return (await session.execute(statement)).first() is not None


async def get(session: AsyncSession, budget_id: uuid.UUID, *, lock: bool = False) -> Budget | None:
    query = select(Budget).where(Budget.id == budget_id)
    if lock:
        query = query.with_for_update(key_share=True)
    query = query.execution_options(populate_existing=True)
    return (await session.execute(query)).scalar_one_or_none()


async def rename(session: AsyncSession, budget: Budget, name: str) -> bool:
    """Renames a budget; returns False if the name is in use."""
    try:
        async with session.begin_nested():
            await session.execute(
                update(Budget)
                .where(Budget.id == budget.id)
                .values(name=name)
                .execution_options(synchronize_session=False)
            )
    except IntegrityError:
        return False
    return True


async def names(session: AsyncSession, viewer: Viewer) -> Sequence[str]:
    """Names of all visible budgets, including closed ones, in alphabetical order."""
    query = select(Budget.name).where(_sees_budget(viewer)).order_by(Budget.name)
    return (await session.execute(query)).scalars().all()


async def page(
    session: AsyncSession,
    viewer: Viewer,
    *,
    name: str | None,
    closed: bool,
    after: str | None,
    limit: int,
    of: tuple[str, uuid.UUID] | None = None,
) -> Sequence[Budget]:
    """Visible budgets by name, or the one with ``name``; with ``closed``, closed ones too.

    With ``of``, those of one scope alone.
    """
    query = select(Budget).where(_sees_budget(viewer))
    if of is not None:
        query = query.where(Budget.scope == of[0], Budget.scope_id == of[1])
    if name is not None:
        query = query.where(Budget.name == name)
    if not closed:
        query = query.where(Budget.closed_at.is_(None))
    if after is not None:
        query = query.where(Budget.name > after)
    return (await session.execute(query.order_by(Budget.name).limit(limit))).scalars().all()


def _concerning(
    project_id: uuid.UUID, experiment_id: uuid.UUID, user_id: uuid.UUID | None
) -> ColumnElement[bool]:
    scopes = {"project": project_id, "experiment": experiment_id, "user": user_id}
    return or_(
        Budget.scope == "lab",
        *(and_(Budget.scope == scope, Budget.scope_id == id_) for scope, id_ in scopes.items()),
    )


async def open_for(session: AsyncSession, run: Run, *, lock: bool = False) -> Sequence[Budget]:
    """The open budgets that apply to a run, by id.

    With ``lock``, each is locked until the transaction ends. The order prevents deadlocks
    between transactions that lock several; alerts can still refer to a locked budget.
    """
    concerning = _concerning(run.project_id, run.experiment_id, run.created_by)
    query = select(Budget).where(Budget.closed_at.is_(None), concerning).order_by(Budget.id)
    if lock:
        query = query.with_for_update(key_share=True)
    query = query.execution_options(populate_existing=True)
    return (await session.execute(query)).scalars().all()


async def all_open(session: AsyncSession) -> Sequence[Budget]:
    """Every budget that is not closed, by id."""
    query = select(Budget).where(Budget.closed_at.is_(None)).order_by(Budget.id)
    return (await session.execute(query)).scalars().all()


async def of_attempts(
    session: AsyncSession, attempt_ids: Collection[uuid.UUID]
) -> Sequence[Budget]:
    """The open budgets that apply to any of these attempts, by id."""
    theirs = (
        select(Run.id)
        .join(Attempt, Attempt.run_id == Run.id)
        .where(
            Attempt.id.in_(attempt_ids),
            or_(
                Budget.scope == "lab",
                and_(Budget.scope == "project", Budget.scope_id == Run.project_id),
                and_(Budget.scope == "experiment", Budget.scope_id == Run.experiment_id),
                and_(Budget.scope == "user", Budget.scope_id == Run.created_by),
            ),
        )
    )
    query = select(Budget).where(Budget.closed_at.is_(None), theirs.exists())
    query = query.order_by(Budget.id).execution_options(populate_existing=True)
    return (await session.execute(query)).scalars().all()


async def names_of_scopes(session: AsyncSession, budgets: Collection[Budget]) -> dict[Any, Any]:
    """Names of the budgets' scopes by id: a project, a user, or (project, experiment)."""
    ids = {budget.scope_id for budget in budgets if budget.scope_id is not None}
    if not ids:
        return {}
    names: dict[Any, Any] = {}
    for table in (Project, User):
        rows = await session.execute(select(table.id, table.name).where(table.id.in_(ids)))
        names.update({row.id: row.name for row in rows})
    query = (
        select(Experiment.id, Project.name.label("project"), Experiment.name)
        .join(Project, Project.id == Experiment.project_id)
        .where(Experiment.id.in_(ids))
    )
    rows = await session.execute(query)
    return names | {row.id: (row.project, row.name) for row in rows}


def _sees_budget(viewer: Viewer) -> ColumnElement[bool]:
    """Whether the viewer may see a budget: only those of hidden projects are hidden."""
    its_experiment = (
        select(Experiment.id)
        .join(Project, Project.id == Experiment.project_id)
        .where(Experiment.id == Budget.scope_id, sees_project(viewer))
    )
    return case(
        (Budget.scope == "project", sees_project_id(viewer, Budget.scope_id)),
        (Budget.scope == "experiment", its_experiment.exists()),
        else_=true(),
    )


async def is_visible(session: AsyncSession, viewer: Viewer, budget_id: uuid.UUID) -> bool:
    query = select(Budget.id).where(Budget.id == budget_id, _sees_budget(viewer))
    return (await session.execute(query)).first() is not None


async def add_alerts(
    session: AsyncSession,
    budget_id: uuid.UUID,
    period_start: datetime,
    ratios: Collection[float],
    used: Decimal,
) -> list[float]:
    """Records crossed thresholds; returns those that are new in this period."""
    if not ratios:
        return []
    rows = [
        {
            "budget_id": budget_id,
            "period_start": period_start,
            "threshold_ratio": ratio,
            "used": used,
        }
        for ratio in ratios
    ]
    statement = insert(BudgetAlert).values(rows).on_conflict_do_nothing()
    added = await session.execute(statement.returning(BudgetAlert.threshold_ratio))
    return sorted(added.scalars())


async def drop_alerts(
    session: AsyncSession,
    budget_id: uuid.UUID,
    period_start: datetime,
    *,
    keep: Collection[float],
) -> None:
    """Deletes the alerts of a period that no longer hold after a change of the budget."""
    await session.execute(
        delete(BudgetAlert).where(
            BudgetAlert.budget_id == budget_id,
            BudgetAlert.period_start == period_start,
            BudgetAlert.threshold_ratio.not_in(keep),
        )
    )


async def alerts_in(
    session: AsyncSession, periods: Collection[tuple[uuid.UUID, datetime]]
) -> Sequence[BudgetAlert]:
    """Alerts of budgets, each in one period."""
    if not periods:
        return []
    query = (
        select(BudgetAlert)
        .where(tuple_(BudgetAlert.budget_id, BudgetAlert.period_start).in_(list(periods)))
        .order_by(BudgetAlert.budget_id, BudgetAlert.threshold_ratio)
    )
    return (await session.execute(query)).scalars().all()


async def alert_page(
    session: AsyncSession,
    viewer: Viewer,
    *,
    budget_id: uuid.UUID | None,
    after: tuple[datetime, uuid.UUID, float] | None,
    limit: int,
) -> Sequence[Any]:
    """Alerts with their budgets, newest first."""
    key = (BudgetAlert.created_at, BudgetAlert.budget_id, BudgetAlert.threshold_ratio)
    query = select(BudgetAlert, Budget).join(Budget, Budget.id == BudgetAlert.budget_id)
    query = query.where(_sees_budget(viewer))
    if budget_id is not None:
        query = query.where(BudgetAlert.budget_id == budget_id)
    if after is not None:
        query = query.where(tuple_(*key) < after)
    query = query.order_by(*(column.desc() for column in key)).limit(limit)
    return (await session.execute(query)).all()
