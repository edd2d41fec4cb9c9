"""The API of CodeCarbon, as far as its unmodified clients use it; not a part of our own.

A client logs the body of an error, which says what to set. It accepts no status but 201.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from fastapi.responses import JSONResponse

from app.api.access import OPEN, Access
from app.api.body import BodyError, check_storable, parse_json, read_bytes
from app.api.branches import Branch
from app.api.browsers import WITHOUT_COOKIES
from app.api.deps import CurrentSession, ServerResources
from app.db import Session
from app.services.errors import UnauthenticatedError
from app.services.intake import codecarbon
from app.services.people import tokens
from app.services.principals import Principal

MAX_BYTES = 65_536
"""Maximum size of a body, which is read before its sender is known."""

CLIENTS_DEFAULT = "api_key"
"""What a client sends as its key if none is set."""

HELP = (
    "Set api_key in .codecarbon.config (or CODECARBON_API_KEY) to a token of this server (pt_...); "
    "`pricetag codecarbon` prints such a file, and `pricetag token create --role ingest` a token."
)

router = Branch(prefix="/codecarbon", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of a client.

    Attributes:
        sender: Who sends it.
        body: The body.
        text: The body as received.
    """

    sender: Principal
    body: Mapping[str, Any]
    text: str


async def get_sent(request: Request, resources: ServerResources, session: CurrentSession) -> Sent:
    """The request, whose body is read before a connection to the database is used."""
    text, body = await _read(request, resources.settings.max_body_bytes)
    sender = await _identified(session, _key(request))
    return Sent(sender, body, text)


async def _read(request: Request, max_bytes: int) -> tuple[str, Mapping[str, Any]]:
    data = await read_bytes(request, min(max_bytes, MAX_BYTES))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(422, "malformed-body", f"The body is not UTF-8: byte {error.start}.") from (
            error
        )
    body = parse_json(text)
    if not isinstance(body, dict):
        raise BodyError(422, "invalid-request", "The body is not a JSON object.")
    check_storable(body)
    return text, body


def _key(request: Request) -> str | None:
    key = request.headers.get("x-api-token")
    if key is None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else None
    return key


async def _identified(session: Session, key: str | None) -> Principal:
    if not key or key == CLIENTS_DEFAULT:
        what = "is missing" if not key else "is the default of CodeCarbon"
        raise UnauthenticatedError(f"The api_key {what}. {HELP}")
    try:
        principal = await tokens.authenticate(session, key)
    except UnauthenticatedError as error:
        raise UnauthenticatedError(f"The api_key is not valid: {error.message} {HELP}") from error
    principal.require_to_send()
    return principal


Received = Annotated[Sent, Depends(get_sent)]


def _rule(about: Any) -> Any:
    async def enforce(sent: Received) -> None:
        """The sender is checked when the request is read."""

    declared: Any = enforce
    declared.access = Access("ingest", "send measurements", about, "sender")
    return Depends(enforce)


SEND = _rule("posted-project")
SEND_MORE = _rule("journal")


def _created(document: Mapping[str, Any]) -> Response:
    return JSONResponse(document, 201)


@router.post("/runs", dependencies=[SEND], status_code=201, openapi_extra=WITHOUT_COOKIES)
@router.post("//runs", dependencies=[SEND], status_code=201, openapi_extra=WITHOUT_COOKIES)
async def create_codecarbon_run(session: CurrentSession, sent: Received) -> Response:
    """Notes a client, and returns the ID of its run."""
    run_id = await codecarbon.start(session, sent.sender, sent.body)
    return _created({"id": str(run_id), "experiment_id": sent.body.get("experiment_id")})


@router.post("/emissions", dependencies=[SEND_MORE], status_code=201, openapi_extra=WITHOUT_COOKIES)
@router.post(
    "//emissions", dependencies=[SEND_MORE], status_code=201, openapi_extra=WITHOUT_COOKIES
)
async def add_codecarbon_emission(session: CurrentSession, sent: Received) -> Response:
    """Stores a difference."""
    run_id = await codecarbon.take(session, sent.sender, sent.body, sent.text)
    return _created({"run_id": str(run_id)})


@router.post(
    "/records/{token}", dependencies=[OPEN], status_code=201, openapi_extra=WITHOUT_COOKIES
)
async def put_codecarbon_record(
    request: Request,
    resources: ServerResources,
    session: CurrentSession,
    token: Annotated[str, Path(description="A token: these clients send no header.")],
) -> Response:
    """Stores the sum so far of a client."""
    text, body = await _read(request, resources.settings.max_body_bytes)
    sender = await _identified(session, token)
    run_id = await codecarbon.take_total(session, sender, body, text)
    return _created({"run_id": str(run_id)})
