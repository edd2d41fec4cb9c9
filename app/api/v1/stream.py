"""The live stream of the lab, as server-sent events."""

from __future__ import annotations

from typing import Annotated, Literal, cast, get_args

from fastapi import Header, Query
from fastapi.exceptions import RequestValidationError

from app.api.access import READ
from app.api.branches import Branch
from app.api.deps import Caller, ServerResources
from app.api.live_response import LiveResponse
from app.api.v1.responses import problems
from app.schemas.stream import Topic

router = Branch(tags=["runs"])

TOPICS: tuple[Topic, ...] = get_args(Topic)


@router.get(
    "/stream",
    dependencies=[READ],
    summary="Follow the lab",
    response_class=LiveResponse,
    responses={
        **problems(),
        200: {
            "description": "Events `devices`, `power`, `runs`, `queue`, `budgets`, `resync` and "
            "`database` (whether the server reaches it); the data of each is JSON.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
)
async def stream_lab(
    resources: ServerResources,
    caller: Caller,
    topics: Annotated[
        str,
        Query(
            max_length=100,
            description="What to follow, separated by commas: `power`, `runs`, `queue`, `budgets`.",
        ),
    ] = ",".join(TOPICS),
    follow: Annotated[
        bool, Query(description="Whether to stay connected after the current state.")
    ] = True,
    history: Annotated[
        Literal["minute", "ten-minutes"],
        Query(
            description=(
                "Power in the initial state: the samples of the last minute, optionally preceded "
                "by means over 5 seconds, ten minutes in total."
            )
        ),
    ] = "minute",
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            max_length=100,
            description="ID of the last event received; the stream resumes after it, or sends "
            "`resync` and begins again.",
        ),
    ] = None,
) -> LiveResponse:
    """Streams the present state of each topic, then its changes. Power comes as frames of whole
    watts with all samples since the last frame; a device that stops reporting is marked, and its
    last value is not repeated. A slow reader receives means over a second. A comment every 15
    seconds keeps the connection open. Power of devices is shown to everybody; runs and budgets of
    projects that you may not see are not. Ends when the token is no longer valid.
    """
    is_patient = history == "ten-minutes"
    return LiveResponse(
        resources.live.stream(
            caller, _topics(topics), last_event_id, follow=follow, is_patient=is_patient
        )
    )


def _topics(text: str) -> frozenset[Topic]:
    names = text.split(",")
    unknown = [name for name in names if name not in TOPICS]
    if unknown:
        raise RequestValidationError(
            [
                {
                    "type": "unknown_topic",
                    "loc": ("query", "topics"),
                    "msg": f"{unknown[0][:40]!r} is not a topic",
                    "ctx": {"hint": f"one or more of {', '.join(TOPICS)}, separated by commas"},
                }
            ]
        )
    return frozenset(cast(list[Topic], names))
