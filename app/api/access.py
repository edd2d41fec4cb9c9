"""Who may call an operation: declared beside it, enforced before anything else is looked at.

A server with an operation that declares no rule does not start. What depends on the target of a
request (whether its project is open to the caller, who posted a run) is decided by the services;
the rule says that it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, Route

from app.api.deps import Caller
from app.schemas.common import Role
from app.services.principals import RoleRequiredError

OPEN_FILES = frozenset({"/docs/assets"})
"""Folders of files that everybody may read: the server's own, and nothing that anybody stored."""

About = Literal["lab", "run", "report", "budget", "project", "posted-project", "user"]
Need = Literal["author", "owner", "self"]


class UndeclaredAccessError(RuntimeError):
    """An operation does not say who may call it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation.

    Attributes:
        role: Least role of the token; None where no token is needed.
        to: What for, in the words of the error message.
        about: What the operation concerns. A run, report, budget or project is not there (404)
            for whoever may not see its project; posting to such a project is forbidden (403).
            Lists skip what the caller may not see.
        need: Beside the role, administrators apart: to have posted the run, to own the project,
            or to be the user.
    """

    role: Role | None
    to: str = "read"
    about: About = "lab"
    need: Need | None = None

    def as_dict(self) -> dict[str, str | None]:
        """As the OpenAPI document shows it."""
        return {"role": self.role, "about": self.about, "need": self.need}


def rule(
    role: Role | None, to: str = "read", about: About = "lab", need: Need | None = None
) -> Any:
    """The rule of an operation, for ``dependencies=[...]`` of its route."""
    declared = Access(role, to, about, need)

    async def enforce(request: Request, caller: Caller) -> None:
        caller.require(role or "ingest", to)
        if need == "self" and not caller.has("admin"):
            try:
                is_self = UUID(request.path_params["user_id"]) == caller.user_id
            except ValueError:
                return  # not an ID: rejected by its own validation
            if not is_self:
                raise RoleRequiredError(f"Only the user or an administrator may {to}.")

    async def enforce_nothing() -> None:
        return

    enforced: Any = enforce_nothing if role is None else enforce
    enforced.access = declared
    return Depends(enforced)


OPEN = rule(None)
ME = rule("ingest", "ask who you are")
READ = rule("viewer")
SEE_RUN = rule("viewer", about="run")
SEE_REPORT = rule("viewer", about="report")
SEE_BUDGET = rule("viewer", about="budget")
SEE_PROJECT = rule("viewer", about="project")
POST_RUN = rule("member", "post runs", "posted-project")
MAKE_REPORT = rule("member", "make reports")
OWNER = rule("member", "manage the project", "project", "owner")
TOKENS = rule("admin", "manage tokens")
USERS = rule("admin", "manage users")
AUDIT = rule("admin", "read the audit log")
BUDGETS = rule("admin", "change budgets")


def author(to: str) -> Any:
    """The rule that only the author of a run or an administrator may do something with it."""
    return rule("member", to, "run", "author")


@dataclass(frozen=True, slots=True)
class Operation:
    """A route of an application, with the rules that it declares."""

    path: str
    methods: frozenset[str]
    operation_id: str | None
    access: tuple[Access, ...]


def operations(app: FastAPI) -> Iterator[Operation]:
    """Every route of an application beside its OpenAPI document and ``OPEN_FILES``."""
    own = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    for route in iter_route_contexts(app.routes):
        path = str(getattr(route, "path", "") or "")
        if type(route.original_route) is Route and path in own:
            continue
        if isinstance(route.original_route, Mount) and path in OPEN_FILES:
            continue
        declared = [
            access
            for dependency in getattr(route, "dependencies", None) or ()
            if isinstance(access := getattr(dependency.dependency, "access", None), Access)
        ]
        yield Operation(
            path,
            frozenset(getattr(route, "methods", None) or ()),
            getattr(route, "operation_id", None),
            tuple(declared),
        )


def require_everywhere(app: FastAPI) -> None:
    """Demands a rule of every operation.

    Raises:
        UndeclaredAccessError: If one has none, or several; names all of these.
    """
    missing = [
        operation.path or "a mounted application"
        for operation in operations(app)
        if len(operation.access) != 1
    ]
    if missing:
        raise UndeclaredAccessError(
            f"not one access rule is declared for {', '.join(sorted(missing))}: give the route"
            " dependencies=[...] with a rule of app.api.access"
        )
