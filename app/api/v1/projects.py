"""Projects: who sees them, and who is a member."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.access import OWNER, SEE_PROJECT, rule
from app.api.body import validated
from app.api.deps import Body, Caller, CurrentSession
from app.api.openapi import request_body
from app.api.v1.examples import MEMBER, PROJECT_CHANGE
from app.api.v1.responses import BODY, problems
from app.schemas.common import PathName
from app.schemas.projects import ProjectChange, ProjectRead
from app.schemas.users import MemberList, MemberPut, MemberRead
from app.services import projects

router = APIRouter(prefix="/projects/{project}", tags=["projects"])

ProjectName = Annotated[
    PathName, Path(description="Name of the project; a slash in it is written `%2F`.")
]


@router.get(
    "",
    operation_id="getProject",
    dependencies=[SEE_PROJECT],
    summary="Show a project",
    responses=problems(404),
)
async def get_project(session: CurrentSession, caller: Caller, project: ProjectName) -> ProjectRead:
    """A project with its visibility and its numbers of experiments and runs."""
    return await projects.read(session, project, caller)


@router.patch(
    "",
    operation_id="changeProject",
    dependencies=[OWNER],
    summary="Make a project private, or open",
    responses=problems(403, 404, *BODY),
    openapi_extra=request_body(
        ProjectChange, {"private": PROJECT_CHANGE}, "The fields to change, and no others."
    ),
)
async def change_project(
    session: CurrentSession, caller: Caller, project: ProjectName, body: Body
) -> ProjectRead:
    """A private project is seen by its members and administrators alone, with its runs, logs,
    artifacts, price tags, quotes, budgets and reports. For its owners and administrators.
    """
    return await projects.change(session, project, validated(ProjectChange, body), caller)


@router.get(
    "/members",
    operation_id="listProjectMembers",
    dependencies=[SEE_PROJECT],
    summary="List the members of a project",
    responses=problems(404),
)
async def list_members(session: CurrentSession, caller: Caller, project: ProjectName) -> MemberList:
    """Members by name, owners among them."""
    return await projects.list_members(session, project, caller)


@router.post(
    "/members",
    status_code=201,
    operation_id="putProjectMember",
    dependencies=[OWNER],
    summary="Add a member to a project",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(MemberPut, {"ada": MEMBER}, "The user and their role."),
)
async def put_member(
    session: CurrentSession, caller: Caller, project: ProjectName, body: Body
) -> MemberRead:
    """A user who is a member already gets the role. For owners and administrators."""
    return await projects.put_member(session, project, validated(MemberPut, body), caller)


@router.delete(
    "/members/{user}",
    operation_id="removeProjectMember",
    dependencies=[rule("member", "remove members", "project", "owner")],
    summary="Remove a member from a project",
    responses=problems(403, 404),
)
async def remove_member(
    session: CurrentSession,
    caller: Caller,
    project: ProjectName,
    user: Annotated[PathName, Path(description="Name or ID of the user.")],
) -> MemberRead:
    """For owners and administrators; members may leave by themselves."""
    return await projects.remove_member(session, project, user, caller)
