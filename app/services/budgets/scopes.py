"""What a budget covers: a project or experiment that exists, or that is created on request."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from app.db import Session
from app.repositories.people import projects, similar_names
from app.schemas.budgets import BudgetCreate
from app.services import users
from app.services.errors import InvalidError
from app.services.principals import Principal
from app.services.similarity import did_you_mean, similar


class UnknownScopeError(InvalidError):
    """The project or experiment that a budget should cover does not exist."""

    code = "unknown-scope"


async def id_of(session: Session, principal: Principal, request: BudgetCreate) -> UUID | None:
    """The ID of what a budget covers; None for the lab.

    Args:
        session: Committed by the caller.
        principal: The caller, who becomes the owner of a project that is created.
        request: The budget.

    Raises:
        UnknownScopeError: If there is no such project or experiment, and it is not to be created.
        UnknownUserError: If there is no such user.
    """
    if request.scope == "lab":
        return None
    if request.scope == "user":
        return (await users.named(session, request.user or "")).id
    project = request.project or ""
    existing = await projects.by_name(session, project)
    if existing is None and not request.create_missing:
        names = await similar_names.of_projects(session, principal.viewer)
        raise _unknown("project", project, "", names)
    project_id = await projects.ensure_project(session, project, principal.user_id)
    if request.scope == "project":
        return project_id
    name = request.experiment or ""
    known_id = await projects.experiment_id(session, project_id, name)
    if known_id is None and not request.create_missing:
        names = await similar_names.of_experiments(session, principal.viewer, project)
        raise _unknown("experiment", name, f" in project '{project}'", names)
    return await projects.ensure_experiment(session, project_id, name)


def _unknown(kind: str, name: str, place: str, names: Iterable[str]) -> UnknownScopeError:
    return UnknownScopeError(
        f"{kind.capitalize()} '{name}' not found{place}{did_you_mean(similar(name, names))}"
        f" To budget a {kind} before its first run, create it with the budget: create_missing.",
        field=kind,
    )
