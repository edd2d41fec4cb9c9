"""Projects and experiments: made by the first run that names them."""

from __future__ import annotations

from app.db import Session
from app.repositories import projects
from app.schemas.projects import ExperimentPage, ExperimentRead, ProjectPage, ProjectRead
from app.services import cursors


async def list_projects(session: Session, cursor: str | None, limit: int) -> ProjectPage:
    """A page of projects by name.

    Raises:
        CursorError: If the cursor is not of this list.
    """
    after = str(cursors.decode(cursor, str)[0]) if cursor else None
    rows = await projects.list_projects(session, after, limit + 1)
    items = [ProjectRead.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    return ProjectPage(items=items, next_cursor=cursors.encode(items[-1].name) if more else None)


async def list_experiments(
    session: Session, project: str | None, cursor: str | None, limit: int
) -> ExperimentPage:
    """A page of experiments by project and name.

    Raises:
        CursorError: If the cursor is not of this list.
    """
    after: tuple[str, str] | None = None
    if cursor:
        first, second = cursors.decode(cursor, str, str)
        after = (str(first), str(second))
    rows = await projects.list_experiments(session, project, after, limit + 1)
    items = [ExperimentRead.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit
    last = cursors.encode(items[-1].project, items[-1].name) if more else None
    return ExperimentPage(items=items, next_cursor=last)
