"""Time of the last request: maintenance that can wait yields to requests."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

QUIET_S = 1.0
"""Time without a new request after which nobody waits for the server."""


class Traffic:
    """Notes requests.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s = float("-inf")

    def note(self) -> None:
        """Notes that a request came or was answered."""
        self._last_s = self._clock()

    @property
    def is_quiet(self) -> bool:
        """Whether no request came or was answered within the last `QUIET_S`.

        Open streams of events are not waited for.
        """
        return self._clock() - self._last_s > QUIET_S


class NotedRequests:
    """ASGI middleware that notes the requests of an application.

    Args:
        app: The application.
        traffic: Where they are noted.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application."""
        self._traffic.note()
        try:
            await self._app(scope, receive, send)
        finally:
            self._traffic.note()


def install(app: FastAPI, traffic: Traffic) -> None:
    """Notes the requests of an application."""
    app.add_middleware(NotedRequests, traffic=traffic)
