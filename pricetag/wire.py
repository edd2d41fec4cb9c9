"""Responses of the REST API as the client returns them, and the errors it raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

ReportFormat = Literal["html", "pdf", "tex", "md", "csv", "json"]
ChartFormat = Literal["svg", "png", "pdf", "json", "csv"]
ReportTable = Literal["glue"]


class Waiting(TypedDict):
    """Why no live worker can take a queued run."""

    code: str
    message: str
    hint: str
    pools_served: list[str]


class RunAccepted(TypedDict):
    """Response to posting or canceling a run."""

    id: str
    status: str
    name: str
    project: str
    experiment: str
    kind: str
    created_at: str
    cancel_requested_at: str | None
    url: str
    waiting: NotRequired[Waiting | None]
    warnings: list[str]


class Run(TypedDict):
    """A run; a list omits `recipe` and all fields after it."""

    id: str
    project: str
    experiment: str
    name: str
    user: str | None
    tags: list[str]
    kind: str
    resources: dict[str, Any]
    priority: int
    not_before: str | None
    status: str
    status_reason: dict[str, Any] | None
    progress: dict[str, Any] | None
    cancel_requested_at: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    price_tag: dict[str, Any] | None
    recipe: NotRequired[dict[str, Any]]
    max_attempts: NotRequired[int]
    waiting: NotRequired[Waiting | None]
    created_by: NotRequired[str | None]
    lineage: NotRequired[dict[str, Any] | None]
    attempts: NotRequired[list[dict[str, Any]]]


class Event(TypedDict):
    """One event of a run's stream; kind is status, stage, progress, power, budget or waiting."""

    id: int
    run_id: str
    at: str
    kind: str
    payload: dict[str, Any]


class StreamEvent(TypedDict):
    """One event of the lab's stream; event is devices, power, runs, queue, budgets or resync."""

    id: str
    event: str
    data: dict[str, Any]


class Page(TypedDict):
    """A page of a list; None as `next_cursor` ends it."""

    items: list[dict[str, Any]]
    next_cursor: str | None


MAX_KEY = 200
"""Characters of an idempotency key."""


def key_fault(key: str) -> str | None:
    """The error of an idempotency key, which is sent in a header; None if it is valid."""
    if not 1 <= len(key) <= MAX_KEY:
        return f"must have 1 to {MAX_KEY} characters (got {len(key)})"
    if not all("!" <= sign <= "~" for sign in key):
        return f"must have only visible ASCII characters, without spaces (got {key!a})"
    return None


class ClientError(Exception):
    """Base of the client's errors."""


class InvalidConnection(ClientError):  # noqa: N818 - the name describes the problem
    """Address, token, proxy or certificates cannot be used at all."""


class ServerUnreachable(ClientError):  # noqa: N818 - the name describes the problem
    """No response from the address, or the connection broke."""


class ApiError(ClientError):
    """The server rejected a request, with a reason.

    Attributes:
        status: HTTP status.
        code: Stable error code for programs: ``run-not-found``.
        message: Message for people.
        errors: ``[{field, message, hint}]`` of the invalid fields.
    """

    def __init__(
        self, status: int, code: str, message: str, errors: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = [dict(error) for error in errors]
