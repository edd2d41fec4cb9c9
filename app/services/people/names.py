"""Errors for names that nothing has: of projects, experiments and users, with similar names."""

from __future__ import annotations

from app.db import Session
from app.repositories.people import similar_names
from app.services.access import ProjectNotFoundError
from app.services.errors import NotFoundError
from app.services.people.users import UserNotFoundError
from app.services.principals import Principal
from app.services.similarity import did_you_mean, similar


class ExperimentNotFoundError(NotFoundError):
    """The experiment does not exist, or the caller may not see its project."""

    code = "experiment-not-found"


async def require_filters(
    session: Session,
    principal: Principal,
    *,
    project: str | None = None,
    experiment: str | None = None,
    user: str | None = None,
) -> None:
    """Requires that the names in the filter of a list exist, so that a typo is not an empty list.

    Args:
        session: Database session, only read.
        principal: The caller; names of what they may not see do not exist for them.
        project: Name of a project.
        experiment: Name of an experiment, of the project if one is named.
        user: Name of a user.

    Raises:
        ProjectNotFoundError: If the project does not exist or is hidden.
        ExperimentNotFoundError: If the experiment does not exist or is hidden.
        UserNotFoundError: If the user does not exist.
    """
    viewer = principal.viewer
    if project is not None:
        projects = await similar_names.of_projects(session, viewer)
        if project not in projects:
            message = f"Project '{project}' not found: it does not exist or is hidden from you"
            raise ProjectNotFoundError(
                message + did_you_mean(similar(project, projects)), field="project"
            )
    if experiment is not None:
        experiments = await similar_names.of_experiments(session, viewer, project)
        if experiment not in experiments:
            place = "" if project is None else f" in project '{project}'"
            raise ExperimentNotFoundError(
                f"Experiment '{experiment}' not found{place}: it does not exist or is hidden from "
                f"you{did_you_mean(similar(experiment, experiments))}",
                field="experiment",
            )
    if user is not None:
        users = await similar_names.of_users(session)
        if user not in users:
            authors = await similar_names.of_authors(session, viewer, similar(user, users))
            raise UserNotFoundError(f"User '{user}' not found{did_you_mean(authors)}", field="user")
