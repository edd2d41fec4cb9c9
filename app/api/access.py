"""Access rules: who may call an operation, declared with it and enforced first.

A server does not start if an operation has no rule. The services decide what depends on the target
of a request (whether its project is open to the caller, who posted a run); the rule only declares
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Route

from app.api.deps import Caller
from app.schemas.common import Role
from app.services.principals import RoleRequiredError

About = Literal[
    "lab",
    "run",
    "report",
    "chart",
    "budget",
    "project",
    "posted-project",
    "user",
    "session",
    "view",
    "study",
    "paper",
    "shared",
    "share",
    "journal",
]
Need = Literal["author", "owner", "self", "sender"]


class UndeclaredAccessError(RuntimeError):
    """An operation has no access rule."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call an operation.

    Attributes:
        role: Lowest role of the token; None if no token is needed.
        to: Purpose of the operation, for the error message.
        about: Object of the operation. A run, report, chart, budget, project or paper does not
            exist (404) for callers who may not see its project; posting to such a project is
            forbidden (403). A session exists only for its user, as does a view unless a project
            shares it, a share link only for who created it, and a journal only for who sent it.
            `shared` is the run, report or paper that the body of a request names. Lists skip hidden
            objects.
        need: Requirement in addition to the role, except for administrators: to have posted the
            run or created the paper, to own the project, or to be the user. A `sender` has the role
            ingest, or member or higher: a viewer only reads.
    """

    role: Role | None
    to: str = "read"
    about: About = "lab"
    need: Need | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The rule in the form of the OpenAPI document."""
        return {"role": self.role, "about": self.about, "need": self.need}


def rule(
    role: Role | None, to: str = "read", about: About = "lab", need: Need | None = None
) -> Any:
    """The access rule of an operation, for ``dependencies=[...]`` of its route."""
    declared = Access(role, to, about, need)

    async def enforce(request: Request, caller: Caller) -> None:
        caller.require(role or "ingest", to)
        if need == "sender":
            caller.require_to_send()
        if need == "self" and not caller.has("admin"):
            try:
                is_self = UUID(request.path_params["user_id"]) == caller.user_id
            except ValueError:
                return  # not an ID; rejected by the parameter's own validation
            if not is_self:
                raise RoleRequiredError(f"Only the user or an administrator can {to}.")

    async def enforce_nothing() -> None:
        return

    enforced: Any = enforce_nothing if role is None else enforce
    enforced.access = declared
    return Depends(enforced)


OPEN = rule(None)
ME = rule("ingest", "ask who you are")
SEND = rule("ingest", "send measurements", "posted-project", "sender")
SEE_JOURNAL = rule("ingest", "send measurements", "journal", "sender")
OWN_SESSION = rule("ingest", "end a session", "session")
READ = rule("viewer")
SAVE_VIEW = rule("viewer", "save views")
SEE_VIEW = rule("viewer", about="view")
DELETE_VIEW = rule("viewer", "delete views", "view")
SEE_RUN = rule("viewer", about="run")
SEE_REPORT = rule("viewer", about="report")
SEE_CHART = rule("viewer", about="chart")
SEE_BUDGET = rule("viewer", about="budget")
SEE_PROJECT = rule("viewer", about="project")
SEE_STUDY = rule("viewer", about="study")
POST_STUDY = rule("member", "submit studies", "posted-project")
CANCEL_STUDY = rule("member", "cancel studies", "study", "author")
POST_RUN = rule("member", "submit runs", "posted-project")
NEW_PAPER = rule("member", "create papers")
CREATE_PAPER = rule("member", "create papers", "project")
SEE_PAPER = rule("viewer", about="paper")
CHANGE_PAPER = rule("member", "change papers", "paper", "author")
REPORT_PAPER = rule("member", "create reports", "paper")
SHARE = rule("member", "share results", "shared", "author")
SHARING = rule("member", "share results")
WITHDRAW_SHARE = rule("viewer", "withdraw share links", "share")
CREATE_REPORT = rule("member", "create reports")
REPORT_RUN = rule("member", "create reports", "run")
OWNER = rule("member", "manage the project", "project", "owner")
TOKENS = rule("admin", "manage tokens")
USERS = rule("admin", "manage users")
AUDIT = rule("admin", "read the audit log")
BUDGETS = rule("admin", "change budgets")
HEALTH = rule("admin", "see the state of the service")
ADMIN = rule("admin", "administer the lab")
SESSIONS = rule("admin", "end the sessions of others")
SHARES = rule("admin", "see the share links of everyone")


def author(to: str) -> Any:
    """The rule that only the author of a run or an administrator may change it."""
    return rule("member", to, "run", "author")


@dataclass(frozen=True, slots=True)
class Operation:
    """A route of an application, with its rules; ``operation_id`` is None outside the API."""

    name: str
    path: str
    methods: frozenset[str]
    operation_id: str | None
    access: tuple[Access, ...]


def operations(app: FastAPI) -> Iterator[Operation]:
    """All routes of an application except its OpenAPI document."""
    own = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    for route in iter_route_contexts(app.routes):
        path = str(getattr(route, "path", "") or "")
        if type(route.original_route) is Route and path in own:
            continue
        declared = [
            access
            for dependency in getattr(route, "dependencies", None) or ()
            if isinstance(access := getattr(dependency.dependency, "access", None), Access)
        ]
        is_described = getattr(route, "include_in_schema", False)
        yield Operation(
            str(getattr(route, "name", "") or ""),
            path,
            frozenset(getattr(route, "methods", None) or ()),
            getattr(route, "unique_id", None) if is_described else None,
            tuple(declared),
        )


def require_everywhere(app: FastAPI) -> None:
    """Requires exactly one rule for every operation.

    Raises:
        UndeclaredAccessError: If operations have no rule, or several; lists them.
    """
    missing = [
        operation.path or "a mounted application"
        for operation in operations(app)
        if len(operation.access) != 1
    ]
    if missing:
        raise UndeclaredAccessError(
            f"exactly one access rule is required for {', '.join(sorted(missing))}: add"
            " dependencies=[...] to the route, with a rule of app.api.access"
        )
