"""An ID for each request: in the response, and in every line that is logged because of it."""

from __future__ import annotations

import os
import re

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pricetag.log_lines import about

HEADER = b"x-request-id"
_ACCEPTED = re.compile(rb"[\w.:-]{1,100}")
_RUN = re.compile(r"/runs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/|$)")


class RequestIds:
    """ASGI middleware that names requests; a proxy's or client's own ID is kept.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application, with the IDs of the request and of the run in its path."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _stated(scope) or os.urandom(8).hex().encode()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id)]
            await send(message)

        run = _RUN.search(scope["path"])
        ids = {"request_id": request_id.decode()} | ({"run_id": run[1]} if run else {})
        with about(**ids):
            await self._app(scope, receive, send_named)


def _stated(scope: Scope) -> bytes | None:
    """The ID that a request states, if it has the form of one."""
    for name, value in scope["headers"]:
        if name == HEADER:
            return value if _ACCEPTED.fullmatch(value) else None
    return None


def install(app: FastAPI) -> None:
    """Names the requests of an application."""
    app.add_middleware(RequestIds)
