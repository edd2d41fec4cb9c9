"""Scopes of budgets: an existing project or experiment, or one created on request."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from app.db import Session
from app.repositories.people import projects, similar_names
from app.schemas.budgets import BudgetCreate
from app.services.errors import InvalidError, PricetagError
from app.services.people import users
from app.services.people.users import UnknownUserError
from app.services.principals import Principal
from app.services.similarity import did_you_mean, similar
from pricetag.accounting.budgets.decision import Scope

SCOPE_FIELDS = ("scope", "project", "experiment", "user", "create_missing")
"""Fields of a request that state the scope of a budget."""


class UnknownScopeError(InvalidError):
    """The project or experiment in the scope of a budget does not exist."""

    code = "unknown-scope"


async def id_of(session: Session, principal: Principal, request: BudgetCreate) -> UUID | None:
    """The ID of the object that a budget covers; None for the lab.

    Args:
        session: Committed by the caller.
        principal: The caller, who becomes the owner of a project that is created.
        request: The budget.

    Raises:
        UnknownScopeError: If there is no such project or experiment, and it is not to be created.
        UnknownUserError: If there is no such user.
    """
    error = await unknown(session, principal, **request.model_dump(include=set(SCOPE_FIELDS)))
    if error is not None:
        raise error
    if request.scope == "lab":
        return None
    if request.scope == "user":
        return (await users.named(session, request.user or "")).id
    project_id = await projects.ensure_project(session, request.project or "", principal.user_id)
    if request.scope == "project":
        return project_id
    return await projects.ensure_experiment(session, project_id, request.experiment or "")


async def unknown(
    session: Session,
    principal: Principal,
    *,
    scope: Scope | None = None,
    project: str | None = None,
    experiment: str | None = None,
    user: str | None = None,
    create_missing: bool = False,
) -> PricetagError | None:
    """The error for a scope that does not exist; None if it exists.

    Args:
        session: Only read.
        principal: The caller, who gets similar names among those that they may see.
        scope: Kind of the scope; None if unknown.
        project: Name of a project, if the budget covers one or its experiment.
        experiment: Name of an experiment.
        user: Name or ID of a user.
        create_missing: Whether a project or experiment will be created.
    """
    if scope == "user" and user is not None:
        try:
            await users.named(session, user)
        except UnknownUserError as error:
            return error
    if scope not in ("project", "experiment") or project is None or create_missing:
        return None
    existing = await projects.by_name(session, project)
    if existing is None:
        names = await similar_names.of_projects(session, principal.viewer)
        return _unknown("project", project, "", names)
    if scope == "project" or experiment is None:
        return None
    if await projects.experiment_id(session, existing.id, experiment) is not None:
        return None
    names = await similar_names.of_experiments(session, principal.viewer, project)
    return _unknown("experiment", experiment, f" in project '{project}'", names)


def _unknown(kind: str, name: str, place: str, names: Iterable[str]) -> UnknownScopeError:
    return UnknownScopeError(
        f"{kind.capitalize()} '{name}' not found{place}{did_you_mean(similar(name, names))}"
        f" To budget a {kind} before its first run, create it with the budget (`create_missing`).",
        field=kind,
    )
