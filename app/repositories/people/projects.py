"""SQL of projects and experiments."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project
from models import Experiment, Project, ProjectMember, RunCount, User


async def ensure_project(
    session: AsyncSession, name: str, owner: uuid.UUID | None = None
) -> uuid.UUID:
    """Id of the project with this name, created if missing; safe if called concurrently.

    Args:
        session: Database session; the caller commits.
        name: Name of the project.
        owner: User who becomes the owner if the project is created.
    """
    query = select(Project.id).where(Project.name == name)
    existing = (await session.execute(query)).scalar_one_or_none()
    if existing is not None:
        return existing
    created = await session.execute(
        insert(Project)
        .values(id=uuid.uuid4(), name=name)
        .on_conflict_do_nothing()
        .returning(Project.id)
    )
    project_id = created.scalar_one_or_none()
    if project_id is not None and owner is not None:
        await put_member(session, project_id, owner, "owner")
    return (await session.execute(query)).scalar_one()


async def ensure_experiment(session: AsyncSession, project_id: uuid.UUID, name: str) -> uuid.UUID:
    """Id of the experiment with this name in the project, created if missing."""
    existing = await experiment_id(session, project_id, name)
    if existing is not None:
        return existing
    await session.execute(
        insert(Experiment)
        .values(id=uuid.uuid4(), project_id=project_id, name=name)
        .on_conflict_do_nothing()
    )
    query = select(Experiment.id).where(
        Experiment.project_id == project_id, Experiment.name == name
    )
    return (await session.execute(query)).scalar_one()


async def experiment_id(
    session: AsyncSession, project_id: uuid.UUID, name: str
) -> uuid.UUID | None:
    """Id of the experiment with this name in the project; None if it does not exist."""
    query = select(Experiment.id).where(
        Experiment.project_id == project_id, Experiment.name == name
    )
    return (await session.execute(query)).scalar_one_or_none()


def _runs(scope: str, scope_id: Any) -> Any:
    """Number of runs of a project or an experiment, from the counts that the database keeps."""
    counted = func.coalesce(func.sum(RunCount.runs), 0)
    own = (RunCount.scope == scope, RunCount.scope_id == scope_id)
    return select(counted).where(*own).scalar_subquery().label("runs")


async def list_projects(
    session: AsyncSession,
    viewer: Viewer,
    after: str | None,
    limit: int,
    *,
    name: str | None = None,
) -> Sequence[Any]:
    """Projects by name, or the one with ``name``, with their counts of experiments and runs."""
    experiments = select(func.count()).where(Experiment.project_id == Project.id)
    query = select(
        Project.id,
        Project.name,
        Project.description,
        Project.visibility,
        Project.created_at,
        experiments.scalar_subquery().label("experiments"),
        _runs("project", Project.id),
    ).where(sees_project(viewer))
    if name is not None:
        query = query.where(Project.name == name)
    if after is not None:
        query = query.where(Project.name > after)
    return (await session.execute(query.order_by(Project.name).limit(limit))).all()


async def list_experiments(
    session: AsyncSession,
    viewer: Viewer,
    project: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> Sequence[Any]:
    """Experiments by project and name, each with its number of runs."""
    query = select(
        Experiment.id,
        Project.name.label("project"),
        Experiment.name,
        Experiment.description,
        Experiment.created_at,
        _runs("experiment", Experiment.id),
    ).join(Project, Project.id == Experiment.project_id)
    query = query.where(sees_project(viewer))
    if project is not None:
        query = query.where(Project.name == project)
    if after is not None:
        query = query.where(tuple_(Project.name, Experiment.name) > tuple_(*after))
    query = query.order_by(Project.name, Experiment.name).limit(limit)
    return (await session.execute(query)).all()


async def by_name(session: AsyncSession, name: str, *, lock: bool = False) -> Project | None:
    query = select(Project).where(Project.name == name).execution_options(populate_existing=True)
    if lock:
        query = query.with_for_update(key_share=True)
    return (await session.execute(query)).scalar_one_or_none()


async def name_of(session: AsyncSession, project_id: uuid.UUID | None) -> str | None:
    """The name of a project; None if ``project_id`` is None."""
    if project_id is None:
        return None
    return (
        await session.execute(select(Project.name).where(Project.id == project_id))
    ).scalar_one_or_none()


async def seen_by_name(
    session: AsyncSession, viewer: Viewer, name: str
) -> tuple[uuid.UUID, bool] | None:
    """Id of the project with this name, and whether it is visible; None if it does not exist."""
    query = select(Project.id, sees_project(viewer)).where(Project.name == name)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def is_visible(session: AsyncSession, viewer: Viewer, project_id: uuid.UUID) -> bool:
    query = select(Project.id).where(Project.id == project_id, sees_project(viewer))
    return (await session.execute(query)).first() is not None


async def role_in(session: AsyncSession, project_id: uuid.UUID, user_id: uuid.UUID) -> str | None:
    """A user's role in a project; None if they are not a member."""
    query = select(ProjectMember.role).where(
        ProjectMember.project_id == project_id, ProjectMember.user_id == user_id
    )
    return (await session.execute(query)).scalar_one_or_none()


async def members(session: AsyncSession, project_id: uuid.UUID) -> Sequence[Any]:
    """Rows of user_id, user, role and created_at, by the users' names."""
    query = (
        select(
            ProjectMember.user_id,
            User.name.label("user"),
            ProjectMember.role,
            ProjectMember.created_at,
        )
        .join(User, User.id == ProjectMember.user_id)
        .where(ProjectMember.project_id == project_id)
        .order_by(User.name)
    )
    return (await session.execute(query)).all()


async def put_member(
    session: AsyncSession, project_id: uuid.UUID, user_id: uuid.UUID, role: str
) -> None:
    """Makes a user a member with this role; replaces any earlier role."""
    statement = insert(ProjectMember).values(project_id=project_id, user_id=user_id, role=role)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[ProjectMember.project_id, ProjectMember.user_id], set_={"role": role}
        )
    )


async def remove_member(session: AsyncSession, project_id: uuid.UUID, user_id: uuid.UUID) -> None:
    await session.execute(
        delete(ProjectMember).where(
            ProjectMember.project_id == project_id, ProjectMember.user_id == user_id
        )
    )
