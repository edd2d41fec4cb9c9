"""Dependencies of the endpoints: the session with its single commit, and the caller."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import Depends, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api import browsers
from app.api.body import read_body, read_journal
from app.charts.drawing import Drawing
from app.db import Database, Session
from app.edge.proxies import came_from
from app.schemas.common import Moment
from app.services.alarms import Alarms
from app.services.errors import UnauthenticatedError
from app.services.live.events import EventHub
from app.services.live.hub import LiveHub
from app.services.overview.board import OverviewBoard
from app.services.people import tokens, web_sessions
from app.services.principals import Principal
from app.services.runs.artifact_files import ArtifactFiles
from app.settings import Settings

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="`Authorization: Bearer pt_...`, from `pricetag token create`.",
)


@dataclass
class Resources:
    """Resources of one server process, from start to shutdown."""

    settings: Settings
    database: Database
    hub: EventHub
    artifacts: ArtifactFiles = field(init=False)
    live: LiveHub = field(init=False)
    charts: Drawing = field(default_factory=Drawing)
    overview: OverviewBoard = field(init=False)
    alarms: Alarms = field(default_factory=Alarms)
    notices: Alarms = field(default_factory=Alarms)

    def __post_init__(self) -> None:
        self.artifacts = ArtifactFiles(self.settings)
        self.live = LiveHub(self.database, self.hub)
        self.overview = OverviewBoard(self.database, self.settings)


# Coroutines even where nothing is awaited: FastAPI sends plain functions to threads.
async def get_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


ServerResources = Annotated[Resources, Depends(get_resources)]


async def get_session(resources: ServerResources) -> AsyncIterator[Session]:
    """One session per request; it commits before the response is sent, or not at all."""
    async with resources.database.sessions() as session:
        yield session
        await session.commit()


CurrentSession = Annotated[Session, Depends(get_session, scope="function")]

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


async def get_caller(
    request: Request, resources: ServerResources, session: CurrentSession, credentials: Credentials
) -> Principal:
    """The caller, checked in the transaction of the request.

    If the body has yet to arrive, or a stream follows, that transaction ends here, so that no
    connection is held in the meantime.
    """
    secret = None if credentials else browsers.session_secret(request)
    principal, is_use_due = (
        await _of_token(session, credentials.credentials if credentials else None)
        if secret is None
        else await _of_session(request, session, secret, resources.settings)
    )
    if is_use_due or not _goes_on(request.scope.get("route")):
        await session.commit()
    if is_use_due:
        async with resources.database.session_scope() as own:
            await _note_use(own, principal)
    request.state.caller = principal
    return principal


async def _of_token(session: Session, secret: str | None) -> tuple[Principal, bool]:
    authenticated = await tokens.identify(session, secret)
    return authenticated.principal, authenticated.is_use_due


async def _of_session(
    request: Request, session: Session, secret: str, settings: Settings
) -> tuple[Principal, bool]:
    recognized = await web_sessions.recognize(session, secret)
    if recognized.method == "proxy":
        name = remote_user(request, settings)
        if name != recognized.principal.name:
            raise UnauthenticatedError("The proxy has signed in somebody else; sign in again.")
    return recognized.principal, recognized.is_use_due


def remote_user(request: Request, settings: Settings) -> str | None:
    """The user whom a proxy has signed in, if the request came from a listed one."""
    name = request.headers.get("remote-user")
    return name if name and came_from(request.scope, settings.remote_user_proxies) else None


async def _note_use(session: Session, principal: Principal) -> None:
    if principal.session_id is not None:
        await web_sessions.note_use(session, principal.session_id)
    elif principal.token_id is not None:
        await tokens.note_use(session, principal.token_id)


Caller = Annotated[Principal, Depends(get_caller)]


async def get_body(request: Request, caller: Caller, resources: ServerResources) -> object:
    """The body, read only after the caller is authenticated."""
    return await read_body(request, resources.settings.max_body_bytes)


Body = Annotated[object, Depends(get_body)]


async def get_journal_lines(request: Request, caller: Caller, resources: ServerResources) -> bytes:
    """The lines of a journal, read only after the caller is authenticated."""
    return await read_journal(request, resources.settings.max_body_bytes)


JournalLines = Annotated[bytes, Depends(get_journal_lines)]
READ_LATER = frozenset({get_body, get_journal_lines})
"""Dependencies that wait for the body of a request."""


def _query_names(dependant: Any) -> set[str]:
    names = {parameter.alias for parameter in dependant.query_params}
    for dependency in dependant.dependencies:
        names |= _query_names(dependency)
    return names


_GOES_ON: WeakKeyDictionary[Callable[..., Any], bool] = WeakKeyDictionary()


def _goes_on(route: object) -> bool:
    """Whether an operation uses the session right after its caller is known."""
    if not isinstance(route, APIRoute):
        return False
    if route.endpoint not in _GOES_ON:
        calls = set(_calls(route.dependant))
        _GOES_ON[route.endpoint] = get_session in calls and calls.isdisjoint(READ_LATER)
    return _GOES_ON[route.endpoint]


def _calls(dependant: Any) -> Iterator[Any]:
    """The dependencies of an operation, without those that authenticate the caller."""
    for dependency in dependant.dependencies:
        if dependency.call is not get_caller:
            yield dependency.call
            yield from _calls(dependency)


FOREIGN_QUERY = {"x-foreign-query": True}
"""`openapi_extra` of an operation whose query another server composes, or that reads it itself."""


async def reject_unknown_query(request: Request) -> None:
    """Rejects unknown query parameters: a misspelled filter must not select everything."""
    route = request.scope.get("route")
    if (
        not isinstance(route, APIRoute)
        or FOREIGN_QUERY.items() <= (route.openapi_extra or {}).items()
    ):
        return
    known_names = _query_names(route.dependant)
    unknown = sorted(set(request.query_params) - known_names)
    if unknown:
        accepted = (
            f"known: {', '.join(sorted(known_names))}" if known_names else "this operation has none"
        )
        raise RequestValidationError(
            [
                {
                    "type": "unknown_query_parameter",
                    "loc": ("query", name[:100]),
                    "msg": "is not a known query parameter",
                    "ctx": {"hint": accepted},
                }
                for name in unknown[:20]
            ]
        )


RunId = Annotated[uuid.UUID, PathParameter(description="ID of the run.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=1000, description="`next_cursor` of the previous page; omit for the first page."
    ),
]
FromHour = Annotated[
    Moment | None,
    Query(alias="from", description="First hour (UTC); by default some days before `to`."),
]
ToHour = Annotated[
    Moment | None,
    Query(
        alias="to",
        description="End, exclusive (UTC hour); by default the end of the current hour.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Maximum number of items on the page.")]
AttemptNumber = Annotated[
    int | None,
    Query(ge=1, le=2**31 - 1, description="Number of one attempt; all attempts by default."),
]
