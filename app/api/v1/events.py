"""The event stream of a run, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.api.access import SEE_RUN
from app.api.branches import Branch
from app.api.deps import Caller, Resources, RunId, ServerResources
from app.api.v1.responses import problems
from app.schemas.series import EventRead
from app.services import access
from app.services.live import events
from app.services.principals import Principal

router = Branch(prefix="/runs/{run_id}", tags=["runs"])

HEARTBEAT_S = 15
SEND_TIMEOUT_S = 30

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^[0-9]{1,18}$",
        description="ID of the last event received; the stream resumes after it.",
    ),
]


@router.get(
    "/events",
    dependencies=[SEE_RUN],
    summary="Follow a run",
    response_class=EventSourceResponse,
    responses={
        **problems(404),
        200: {
            "description": "Events `status`, `stage`, `progress`, `power`, `budget` and `waiting` "
            "(why no live worker can take a queued run); the data of each is JSON with id, run_id, "
            "at, kind and payload. Ends after the final status.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
)
async def stream_run_events(
    resources: ServerResources, caller: Caller, run_id: RunId, last_event_id: LastEventId = None
) -> EventSourceResponse:
    """Streams past events, then new ones. A comment every 15 seconds keeps the connection open.
    Ends early, within that time, when the token is no longer valid or its user may no longer
    see the project.
    """
    async with resources.database.session_scope() as session:
        await access.require_run(session, caller, run_id)
    last_id = int(last_event_id) if last_event_id else 0
    return EventSourceResponse(
        _messages(resources, caller, run_id, last_id), ping=HEARTBEAT_S, send_timeout=SEND_TIMEOUT_S
    )


async def _messages(
    resources: Resources, caller: Principal, run_id: RunId, last_id: int
) -> AsyncIterator[bytes]:
    async for news in events.stream(resources.database, resources.hub, caller, run_id, last_id):
        yield news.encoded(_encoded)


def _encoded(read: Sequence[EventRead]) -> bytes:
    return b"".join(
        ServerSentEvent(
            data=event.model_dump_json(), event=event.kind, id=str(event.id), sep="\n"
        ).encode()
        for event in read
    )
