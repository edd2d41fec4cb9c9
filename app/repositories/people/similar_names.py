"""Names that a viewer may see, for filters and for hints about misspelled ones."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project, sees_project_id
from models import Experiment, Project, Run, User


async def of_projects(session: AsyncSession, viewer: Viewer) -> Sequence[str]:
    """Names of the projects that the viewer sees."""
    query = select(Project.name).where(sees_project(viewer))
    return (await session.execute(query)).scalars().all()


async def of_experiments(
    session: AsyncSession, viewer: Viewer, project: str | None
) -> Sequence[str]:
    """Names of the experiments of a project, or of all projects, that the viewer sees."""
    query = select(Experiment.name).distinct().join(Project, Project.id == Experiment.project_id)
    query = query.where(sees_project(viewer))
    if project is not None:
        query = query.where(Project.name == project)
    return (await session.execute(query)).scalars().all()


async def of_users(session: AsyncSession) -> Sequence[str]:
    """Names of all users."""
    return (await session.execute(select(User.name))).scalars().all()


async def of_authors(session: AsyncSession, viewer: Viewer, names: Sequence[str]) -> Sequence[str]:
    """Those of some users who posted a run that the viewer sees."""
    posted = select(Run.id).where(
        Run.created_by == User.id, sees_project_id(viewer, Run.project_id)
    )
    query = select(User.name).where(User.name.in_(names), posted.exists())
    return (await session.execute(query)).scalars().all()
