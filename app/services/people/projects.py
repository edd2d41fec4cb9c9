"""Projects: created by their first run; open to the lab, or private to their members."""

from __future__ import annotations

from app.db import Session
from app.repositories.people import projects
from app.schemas.projects import (
    ExperimentPage,
    ExperimentRead,
    ProjectChange,
    ProjectPage,
    ProjectRead,
)
from app.schemas.users import MemberList, MemberPut, MemberRead
from app.services import access, cursors
from app.services.errors import NotFoundError
from app.services.people import audit, users
from app.services.people.names import require_filters
from app.services.principals import Principal
from models import Project


class MemberNotFoundError(NotFoundError):
    """The user is not a member of the project."""

    code = "member-not-found"


async def list_projects(
    session: Session, by: Principal, cursor: str | None, limit: int
) -> ProjectPage:
    """A page of the projects that the principal may see, by name.

    Raises:
        CursorError: If the cursor is not of this list.
    """
    after = str(cursors.decode(cursor, str)[0]) if cursor else None
    rows = await projects.list_projects(session, by.viewer, after, limit + 1)
    shown, following = cursors.page(rows, limit, lambda row: (row.name,))
    items = [ProjectRead.model_validate(row) for row in shown]
    return ProjectPage(items=items, next_cursor=following)


async def list_experiments(
    session: Session, by: Principal, project: str | None, cursor: str | None, limit: int
) -> ExperimentPage:
    """A page of experiments by project and name.

    Raises:
        CursorError: If the cursor is not of this list.
        ProjectNotFoundError: If the project does not exist or is hidden from the principal.
    """
    after: tuple[str, str] | None = None
    if cursor:
        first, second = cursors.decode(cursor, str, str)
        after = (str(first), str(second))
    rows = await projects.list_experiments(session, by.viewer, project, after, limit + 1)
    if not rows:
        await require_filters(session, by, project=project)
    shown, following = cursors.page(rows, limit, lambda row: (row.project, row.name))
    items = [ExperimentRead.model_validate(row) for row in shown]
    return ExperimentPage(items=items, next_cursor=following)


async def read(session: Session, name: str, by: Principal) -> ProjectRead:
    """A project.

    Raises:
        ProjectNotFoundError: If there is no such project, or it is a private one of others.
    """
    rows = await projects.list_projects(session, by.viewer, None, 1, name=name)
    if not rows:
        raise access.project_not_found(name)
    return ProjectRead.model_validate(rows[0])


async def change(session: Session, name: str, request: ProjectChange, by: Principal) -> ProjectRead:
    """Changes a project's visibility or description; for its owners and administrators.

    Raises:
        ProjectNotFoundError: If there is no such project, or it is a private one of others.
        NotAnOwnerError: If the principal is neither an owner nor an administrator.
    """
    project = await _owned(session, name, by)
    before = {"name": name, "visibility": project.visibility, "description": project.description}
    project.visibility = request.visibility or project.visibility
    if request.description is not None:
        project.description = request.description
    after = {"name": name, "visibility": project.visibility, "description": project.description}
    if after != before:
        await session.flush()
        await audit.record(
            session,
            by,
            action="changed",
            object_kind="project",
            object_id=project.id,
            before=before,
            after=after,
        )
    return await read(session, name, by)


async def _owned(session: Session, name: str, by: Principal) -> Project:
    await access.require_owner(session, by, name)
    project = await projects.by_name(session, name, lock=True)
    if project is None:
        raise access.project_not_found(name)
    return project


async def list_members(session: Session, name: str, by: Principal) -> MemberList:
    """The members of a project, by name.

    Raises:
        ProjectNotFoundError: If the project does not exist, or is a private one of others.
    """
    project = await access.require_project(session, by, name)
    rows = await projects.members(session, project.id)
    return MemberList(items=[MemberRead.model_validate(row) for row in rows])


async def put_member(session: Session, name: str, request: MemberPut, by: Principal) -> MemberRead:
    """Adds a user to a project, or changes their role in it; for owners and administrators.

    Raises:
        ProjectNotFoundError: If there is no such project, or it is a private one of others.
        NotAnOwnerError: If the principal is neither an owner nor an administrator.
        UnknownUserError: If there is no such user.
        UserDisabledError: If the user is disabled.
    """
    project = await _owned(session, name, by)
    user = await users.named(session, request.user)
    if user.disabled_at is not None:
        raise users.UserDisabledError(f"The user '{user.name}' is disabled.", field="user")
    former = await projects.role_in(session, project.id, user.id)
    await projects.put_member(session, project.id, user.id, request.role)
    if former != request.role:
        await audit.record(
            session,
            by,
            action="created" if former is None else "changed",
            object_kind="member",
            object_id=f"{project.id}/{user.id}",
            before=None if former is None else _member(project, user.name, former),
            after=_member(project, user.name, request.role),
        )
    rows = await projects.members(session, project.id)
    (row,) = [row for row in rows if row.user_id == user.id]
    return MemberRead.model_validate(row)


def _member(project: Project, user: str, role: str) -> dict[str, str]:
    return {"project": project.name, "user": user, "role": role}


async def remove_member(session: Session, name: str, user: str, by: Principal) -> MemberRead:
    """Ends a membership; for owners and administrators, and for members who leave.

    Raises:
        ProjectNotFoundError: If there is no such project, or it is a private one of others.
        NotAnOwnerError: If a member tries to remove somebody else.
        UnknownUserError: If there is no such user.
        MemberNotFoundError: If the user is not a member.
    """
    project = await access.require_project(session, by, name)
    leaving = user in (str(by.user_id), by.name)
    if not leaving:
        project = await _owned(session, name, by)
    row = await users.named(session, user)
    rows = await projects.members(session, project.id)
    former = next((member for member in rows if member.user_id == row.id), None)
    if former is None:
        raise MemberNotFoundError(f"'{row.name}' is not a member of '{name}'.", field="user")
    await projects.remove_member(session, project.id, row.id)
    await audit.record(
        session,
        by,
        action="deleted",
        object_kind="member",
        object_id=f"{project.id}/{row.id}",
        before=_member(project, row.name, former.role),
    )
    return MemberRead.model_validate(former)
