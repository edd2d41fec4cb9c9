"""Visibility of private projects as SQL conditions, so that pages keep their length."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Uuid,
    and_,
    any_,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from models import Paper, PaperRun, Project, ProjectMember, ReportProject, Run


@dataclass(frozen=True, slots=True)
class Viewer:
    """The user for whom a query runs.

    Attributes:
        user_id: The user.
        sees_all: Whether private projects of others are visible too (administrators).
        project_id: Project that the token is limited to; None without a limit.
    """

    user_id: uuid.UUID
    sees_all: bool
    project_id: uuid.UUID | None = None


def sees_project(viewer: Viewer) -> ColumnElement[bool]:
    """Whether the viewer sees a row of ``projects``, from which the query selects."""
    return _sees(viewer, Project)


def _sees(viewer: Viewer, project: Any) -> ColumnElement[bool]:
    membership = exists().where(
        ProjectMember.project_id == project.id, ProjectMember.user_id == viewer.user_id
    )
    visible = true() if viewer.sees_all else or_(project.visibility == "open", membership)
    if viewer.project_id is None:
        return visible
    return and_(project.id == viewer.project_id, visible)


def sees_project_id(viewer: Viewer, project_id: Any) -> ColumnElement[bool]:
    """Whether the viewer sees the project with this id (a column or a value)."""
    if viewer.sees_all and viewer.project_id is None:
        return true()
    return select(Project.id).where(Project.id == project_id, sees_project(viewer)).exists()


def sees_report(viewer: Viewer, report_id: Any) -> ColumnElement[bool]:
    """Whether the viewer sees the projects of all runs in a report."""
    if viewer.sees_all and viewer.project_id is None:
        return true()
    hidden = (
        select(ReportProject.report_id)
        .join(Project, Project.id == ReportProject.project_id)
        .where(ReportProject.report_id == report_id, ~sees_project(viewer))
    )
    return ~hidden.exists()


def sees_paper(viewer: Viewer) -> ColumnElement[bool]:
    """Whether the viewer sees a row of ``papers`` joined with its project, and all its runs."""
    project = aliased(Project)
    visible_ids = select(project.id).where(_sees(viewer, project))
    hidden = (
        select(PaperRun.run_id)
        .join(Run, Run.id == PaperRun.run_id)
        .where(PaperRun.paper_id == Paper.id, Run.project_id.not_in(visible_ids))
    )
    if viewer.sees_all and viewer.project_id is None:
        return true()
    return and_(sees_project(viewer), ~hidden.exists())


# The same condition for statements in text form, for `p`, a row of projects.
SEES_PROJECT_SQL = """
    (CAST(:viewer_project_id AS uuid) IS NULL OR p.id = :viewer_project_id)
    AND (:viewer_sees_all OR p.visibility = 'open' OR EXISTS (
      SELECT FROM project_members AS m WHERE m.project_id = p.id AND m.user_id = :viewer_user_id))
"""


def sql_values(viewer: Viewer) -> dict[str, Any]:
    """The parameters of ``SEES_PROJECT_SQL``."""
    return {
        "viewer_project_id": viewer.project_id,
        "viewer_sees_all": viewer.sees_all,
        "viewer_user_id": viewer.user_id,
    }


async def sees_every_project(session: AsyncSession, viewer: Viewer) -> bool:
    """Whether no project is hidden from the viewer."""
    if viewer.project_id is not None or viewer.sees_all:
        return viewer.project_id is None
    hidden = select(Project.id).where(~sees_project(viewer)).limit(1)
    return (await session.execute(hidden)).first() is None


async def visible_status(session: AsyncSession, viewer: Viewer, run_id: uuid.UUID) -> str | None:
    """The status of a run; None if it does not exist or the viewer may not see it."""
    query = select(Run.status).where(Run.id == run_id, sees_project_id(viewer, Run.project_id))
    return (await session.execute(query)).scalar_one_or_none()


async def visible_runs(
    session: AsyncSession, viewer: Viewer, run_ids: list[uuid.UUID]
) -> set[uuid.UUID]:
    """The subset of the runs that exist and that the viewer may see."""
    # One parameter: a list of them could be too long for a statement.
    wanted = any_(literal(run_ids, ARRAY(Uuid)))
    query = select(Run.id).where(Run.id == wanted, sees_project_id(viewer, Run.project_id))
    return set((await session.execute(query)).scalars())


async def sees_all_projects(
    session: AsyncSession, viewer: Viewer, project_ids: Collection[uuid.UUID]
) -> bool:
    """Whether all these projects exist and the viewer may see them."""
    wanted = set(project_ids)
    if not wanted:
        return True
    query = select(func.count()).select_from(Project)
    query = query.where(Project.id.in_(wanted), sees_project(viewer))
    return (await session.execute(query)).scalar_one() == len(wanted)
