"""SQL of projects and experiments."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import Experiment, Project, Run


async def ensure_project(session: AsyncSession, name: str) -> uuid.UUID:
    """The project of this name, made if there is none; safe when several make it at once."""
    query = select(Project.id).where(Project.name == name)
    found = (await session.execute(query)).scalar_one_or_none()
    if found is not None:
        return found
    await session.execute(
        insert(Project).values(id=uuid.uuid4(), name=name).on_conflict_do_nothing()
    )
    return (await session.execute(query)).scalar_one()


async def ensure_experiment(session: AsyncSession, project_id: uuid.UUID, name: str) -> uuid.UUID:
    """The experiment of this name in the project, made if there is none."""
    query = select(Experiment.id).where(
        Experiment.project_id == project_id, Experiment.name == name
    )
    found = (await session.execute(query)).scalar_one_or_none()
    if found is not None:
        return found
    await session.execute(
        insert(Experiment)
        .values(id=uuid.uuid4(), project_id=project_id, name=name)
        .on_conflict_do_nothing()
    )
    return (await session.execute(query)).scalar_one()


def _count(of: Any, where: ColumnElement[bool]) -> Any:
    return select(func.count()).select_from(of).where(where).scalar_subquery()


async def list_projects(session: AsyncSession, after: str | None, limit: int) -> Sequence[Any]:
    """Projects by name, with how many experiments and runs each holds."""
    query = select(
        Project.id,
        Project.name,
        Project.description,
        Project.created_at,
        _count(Experiment, Experiment.project_id == Project.id).label("experiments"),
        _count(Run, Run.project_id == Project.id).label("runs"),
    )
    if after is not None:
        query = query.where(Project.name > after)
    return (await session.execute(query.order_by(Project.name).limit(limit))).all()


async def list_experiments(
    session: AsyncSession, project: str | None, after: tuple[str, str] | None, limit: int
) -> Sequence[Any]:
    """Experiments by project and name, with how many runs each holds."""
    query = select(
        Experiment.id,
        Project.name.label("project"),
        Experiment.name,
        Experiment.description,
        Experiment.created_at,
        _count(Run, Run.experiment_id == Experiment.id).label("runs"),
    ).join(Project, Project.id == Experiment.project_id)
    if project is not None:
        query = query.where(Project.name == project)
    if after is not None:
        query = query.where(tuple_(Project.name, Experiment.name) > tuple_(*after))
    query = query.order_by(Project.name, Experiment.name).limit(limit)
    return (await session.execute(query)).all()
