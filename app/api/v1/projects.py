"""Projects: their visibility and their members."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from app.api.access import OWNER, SEE_PROJECT, rule
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, FromHour, ServerResources, ToHour
from app.api.openapi import request_body
from app.api.v1.examples import MEMBER, PROJECT_CHANGE
from app.api.v1.responses import BODY, problems
from app.schemas.common import PathName
from app.schemas.projects import ProjectChange, ProjectRead
from app.schemas.users import MemberList, MemberPut, MemberRead
from app.schemas.work import WorkRead
from app.services.overview import work
from app.services.people import projects

router = Branch(prefix="/projects/{project}", tags=["projects"])

ProjectName = Annotated[
    PathName, Path(description="Name of the project; a slash in it is written `%2F`.")
]


@router.get(
    "",
    dependencies=[SEE_PROJECT],
    summary="Show a project",
    responses=problems(404),
)
async def get_project(session: CurrentSession, caller: Caller, project: ProjectName) -> ProjectRead:
    """A project with its visibility and the numbers of its experiments and runs."""
    return await projects.read(session, project, caller)


@router.get(
    "/account",
    dependencies=[SEE_PROJECT],
    summary="Show the use of a project",
    responses=problems(404),
)
async def get_project_account(
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    project: ProjectName,
    start: FromHour = None,
    stop: ToHour = None,
) -> WorkRead:
    """Energy charged to its runs with the trend and the change against the period before, sums of
    the price tags of ended attempts, failed work, and the run with the best score for its energy.
    Covers the last 30 days by default.
    """
    return await work.of_project(
        session, caller, project, start=start, stop=stop, currency=resources.settings.currency
    )


@router.patch(
    "",
    dependencies=[OWNER],
    summary="Make a project private or open",
    responses=problems(403, 404, *BODY),
    openapi_extra=request_body(ProjectChange, {"private": PROJECT_CHANGE}, "The fields to change."),
)
async def change_project(
    session: CurrentSession, caller: Caller, project: ProjectName, body: Body
) -> ProjectRead:
    """Only members and administrators can see a private project, with its runs, logs, artifacts,
    price tags, quotes, budgets and reports. For its owners and administrators.
    """
    return await projects.change(session, project, validated(ProjectChange, body), caller)


@router.get(
    "/members",
    dependencies=[SEE_PROJECT],
    summary="List the members of a project",
    responses=problems(404),
)
async def list_project_members(
    session: CurrentSession, caller: Caller, project: ProjectName
) -> MemberList:
    """Lists members by name, including owners."""
    return await projects.list_members(session, project, caller)


@router.post(
    "/members",
    status_code=201,
    dependencies=[OWNER],
    summary="Add a member to a project",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(MemberPut, {"ada": MEMBER}, "The user and their role."),
)
async def put_project_member(
    session: CurrentSession, caller: Caller, project: ProjectName, body: Body
) -> MemberRead:
    """Adds a user, or changes the role of a member. For owners and administrators."""
    return await projects.put_member(session, project, validated(MemberPut, body), caller)


@router.delete(
    "/members/{user}",
    dependencies=[rule("member", "remove members", "project", "owner")],
    summary="Remove a member from a project",
    responses=problems(403, 404),
)
async def remove_project_member(
    session: CurrentSession,
    caller: Caller,
    project: ProjectName,
    user: Annotated[PathName, Path(description="Name or ID of the user.")],
) -> MemberRead:
    """Ends a membership. For owners and administrators, and for members who leave."""
    return await projects.remove_member(session, project, user, caller)
