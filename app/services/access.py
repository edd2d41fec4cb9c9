"""Access rules: all users see open projects, only members see private ones."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from app.db import Session
from app.repositories.budgets import budgets
from app.repositories.people import projects, visibility
from app.repositories.price_tags import reports
from app.services.errors import ForbiddenError, NotFoundError, RunNotFoundError
from app.services.principals import Principal
from models import Project


class ProjectNotFoundError(NotFoundError):
    """The project does not exist, or the caller may not see it."""

    code = "project-not-found"


class NotAMemberError(ForbiddenError):
    """The project is private, or the token is limited to another one."""

    code = "not-a-member"


class NotAnOwnerError(ForbiddenError):
    """Only owners of the project and administrators may do this."""

    code = "not-an-owner"


class ReportNotFoundError(NotFoundError):
    """The report does not exist, or the caller may not see it."""

    code = "report-not-found"


class BudgetNotFoundError(NotFoundError):
    """The budget does not exist, or the caller may not see it."""

    code = "budget-not-found"


async def may_see_run(session: Session, principal: Principal, run_id: UUID) -> bool:
    """Whether a run exists and is in a project that the principal may see."""
    return await visibility.visible_status(session, principal.viewer, run_id) is not None


async def require_run(session: Session, principal: Principal, run_id: UUID) -> str:
    """The status of a run that the principal may see.

    Raises:
        RunNotFoundError: If the run does not exist, or is in a private project of others.
    """
    status = await visibility.visible_status(session, principal.viewer, run_id)
    if status is None:
        raise RunNotFoundError(
            f"Run {run_id} not found: it does not exist or is hidden from you.", field="run_id"
        )
    return status


async def visible_runs(
    session: Session, principal: Principal, run_ids: Iterable[UUID]
) -> set[UUID]:
    """The subset of the runs that the principal may see."""
    return await visibility.visible_runs(session, principal.viewer, list(run_ids))


async def may_see_project(session: Session, principal: Principal, name: str) -> bool:
    """Whether a project exists and the principal may see it."""
    seen = await projects.seen_by_name(session, principal.viewer, name)
    return seen is not None and seen[1]


def project_not_found(name: str) -> ProjectNotFoundError:
    """The error for a project that does not exist or is hidden."""
    return ProjectNotFoundError(
        f"Project '{name}' not found: it does not exist or is hidden from you.", field="project"
    )


async def require_project(session: Session, principal: Principal, name: str) -> Project:
    """The project, which the principal must be allowed to see.

    Raises:
        ProjectNotFoundError: If there is no such project, or it is a private one of others.
    """
    project = await projects.by_name(session, name)
    if project is None or not await projects.is_visible(session, principal.viewer, project.id):
        raise project_not_found(name)
    return project


async def require_owner(session: Session, principal: Principal, name: str) -> None:
    """Requires that the principal owns a project or is an administrator.

    Raises:
        ProjectNotFoundError: If there is no such project, or it is a private one of others.
        NotAnOwnerError: If the principal is neither.
    """
    project = await require_project(session, principal, name)
    if principal.has("admin"):
        return
    if await projects.role_in(session, project.id, principal.user_id) != "owner":
        raise NotAnOwnerError(
            f"Only an owner of the project '{name}' or an administrator may do this."
        )


async def require_report(session: Session, principal: Principal, report_id: UUID) -> None:
    """Requires that the principal may see the projects of all runs in a report.

    Raises:
        ReportNotFoundError: If the report does not exist, or has hidden runs.
    """
    if not await reports.is_visible(session, principal.viewer, report_id):
        raise ReportNotFoundError(
            f"Report {report_id} not found: it does not exist or is hidden from you.",
            field="report_id",
        )


async def require_budget(session: Session, principal: Principal, budget_id: UUID) -> None:
    """Requires that the principal may see a budget.

    Raises:
        BudgetNotFoundError: If the budget does not exist or is hidden.
    """
    if not await budgets.is_visible(session, principal.viewer, budget_id):
        raise BudgetNotFoundError(
            f"Budget {budget_id} not found: it does not exist or is hidden from you.",
            field="budget_id",
        )


async def require_project_to_post(session: Session, principal: Principal, name: str) -> UUID | None:
    """Requires that the principal may use a project, or create it.

    Project names are shared by the lab: the error reveals only that the name is in use.

    Returns:
        Id of the project; None if it is yet to be created.

    Raises:
        NotAMemberError: If the project is private and the principal is not one of its members, or
            the token is limited to another project.
    """
    seen = await projects.seen_by_name(session, principal.viewer, name)
    if seen is None and principal.project_id is None:
        return None
    if seen is None or not seen[1]:
        raise NotAMemberError(
            f"You cannot use the project '{name}': it is private and you are not a member, or"
            " your token is limited to another project. Ask an owner of the project to add you,"
            " or choose another name.",
            field="project",
        )
    return seen[0]
