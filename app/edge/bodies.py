"""Limits on the size of request bodies and on their time of arrival."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_TIMEOUT_S = 60.0


class BodyLimit:
    """ASGI middleware that rejects bodies that are too large (413) or arrive too slowly (408).

    Endpoints read their body after they have authenticated the caller. This limits all other
    bodies, including those that nobody reads.

    Args:
        app: The application.
        max_bytes: Maximum size of a body.
        timeout_s: Maximum time between the request's head and the end of its body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application on a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bounded = _Bounded(receive, self._max_bytes, self._timeout_s, declared_bytes(scope))
        await self._app(scope, bounded, send)


def declared_bytes(scope: Scope) -> int:
    """The declared size of the request's body in bytes; 0 if none is declared."""
    text = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def too_large(max_bytes: int) -> HTTPException:
    """The error for a body of more than `max_bytes`."""
    return HTTPException(413, f"The body is larger than the {max_bytes} bytes allowed.")


class _Bounded:
    """The receiving end of a request, counted and timed until its body is complete."""

    def __init__(
        self, receive: Receive, max_bytes: int, timeout_s: float, declared_bytes: int
    ) -> None:
        self._declared_bytes = declared_bytes
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline_s = asyncio.get_running_loop().time() + timeout_s
        self._timeout_s = timeout_s
        self._seen_bytes = 0
        self._is_complete = False

    async def __call__(self) -> Message:
        if self._is_complete:
            return await self._receive()
        if self._declared_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                408, f"The body did not arrive within {self._timeout_s:.0f} seconds."
            ) from None
        self._seen_bytes += len(message.get("body", b""))
        if self._seen_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self._is_complete = not message.get("more_body", False)
        return message


def install(app: FastAPI, max_bytes: int) -> None:
    """Limits the bodies of an application."""
    app.add_middleware(BodyLimit, max_bytes=max_bytes)
