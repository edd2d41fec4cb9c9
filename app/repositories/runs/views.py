"""SQL of saved views."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project
from models import Project, SavedView


def _with_project() -> Select[SavedView, str]:
    return select(SavedView, Project.name.label("project")).outerjoin(
        Project, Project.id == SavedView.project_id
    )


async def visible(session: AsyncSession, viewer: Viewer, limit: int) -> Sequence[Any]:
    """Named views of the viewer, then those of projects that they see, by name."""
    is_own = and_(SavedView.project_id.is_(None), SavedView.created_by == viewer.user_id)
    is_shared = and_(SavedView.project_id.isnot(None), sees_project(viewer))
    query = (
        _with_project()
        .where(SavedView.name.isnot(None), or_(is_own, is_shared))
        .order_by(SavedView.project_id.isnot(None), Project.name, SavedView.name)
        .limit(limit)
    )
    return (await session.execute(query)).all()


async def get(session: AsyncSession, viewer: Viewer, view_id: uuid.UUID) -> Any:
    """A view with the name of its project; None if the viewer may not open it."""
    may_open = or_(
        SavedView.created_by == viewer.user_id,
        and_(SavedView.project_id.is_(None), SavedView.name.is_(None)),
        and_(SavedView.project_id.isnot(None), sees_project(viewer)),
    )
    hidden = and_(SavedView.project_id.isnot(None), ~sees_project(viewer))
    query = _with_project().where(SavedView.id == view_id, may_open, ~hidden)
    return (await session.execute(query)).one_or_none()


async def default_of(session: AsyncSession, project: str) -> SavedView | None:
    """The view in which a project's runs are shown by default."""
    query = (
        select(SavedView)
        .join(Project, Project.id == SavedView.project_id)
        .where(Project.name == project, SavedView.is_default)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def named(
    session: AsyncSession, owner: uuid.UUID, project_id: uuid.UUID | None, name: str
) -> SavedView | None:
    """The view with a name: of a project, or of a user."""
    query = select(SavedView).where(SavedView.name == name).with_for_update()
    if project_id is not None:
        query = query.where(SavedView.project_id == project_id)
    else:
        query = query.where(SavedView.project_id.is_(None), SavedView.created_by == owner)
    return (await session.execute(query)).scalar_one_or_none()


async def count_own(session: AsyncSession, owner: uuid.UUID, most: int) -> int:
    """Number of views and links that a user has saved, up to a maximum."""
    query = select(SavedView.id).where(SavedView.created_by == owner).limit(most)
    return len((await session.execute(query)).all())


async def same_link(session: AsyncSession, owner: uuid.UUID, query_text: str) -> SavedView | None:
    """The link with this query that a user has stored before."""
    query = (
        select(SavedView)
        .where(
            SavedView.created_by == owner,
            SavedView.name.is_(None),
            SavedView.query == query_text,
        )
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def add(session: AsyncSession, view: SavedView) -> None:
    session.add(view)
    await session.flush()


async def drop_default(session: AsyncSession, project_id: uuid.UUID) -> None:
    """Makes no view of a project its default."""
    query = select(SavedView).where(SavedView.project_id == project_id, SavedView.is_default)
    for view in (await session.execute(query)).scalars():
        view.is_default = False
    await session.flush()


async def delete(session: AsyncSession, view: SavedView) -> None:
    await session.delete(view)
    await session.flush()
