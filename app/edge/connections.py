"""A limit on connections that have not sent a request yet.

uvicorn waits for the head of a request forever, so that a client that opens connections and
occasionally sends a byte uses up the server's descriptors. Here a head has a deadline, and if too
many connections wait for one, the oldest is closed.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_S = 10.0
MAX_DESCRIPTORS = 65_536
MAX_WAITING = 256
"""Maximum number of connections, over all clients, without a complete request head."""


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for the head of each request."""

    _waiting: ClassVar[dict[BoundedProtocol, asyncio.TimerHandle]] = {}  # oldest first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the deadline of the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Starts the deadline with the data of a request, and ends it once its head is complete."""
        if self._is_between_requests():
            self._wait_for_head()
        super().data_received(data)
        if not self._is_between_requests():
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the deadline with the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Leaves a kept-alive connection to uvicorn's own timeout until data arrive."""
        self._stop_waiting()
        super().on_response_complete()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        if self in self._waiting:
            return
        self._waiting[self] = self.loop.call_later(HEAD_TIMEOUT_S, self._close)
        if len(self._waiting) > MAX_WAITING:
            next(iter(self._waiting))._close()

    def _stop_waiting(self) -> None:
        timer = self._waiting.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _close(self) -> None:
        self._stop_waiting()
        self.transport.abort()


def raise_descriptor_limit() -> int:
    """Raises this process's limit of open files, up to ``MAX_DESCRIPTORS``.

    Returns:
        The new limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= allowed:
        return allowed
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def options(descriptors: int) -> dict[str, Any]:
    """Arguments of ``uvicorn.Config``.

    Args:
        descriptors: Maximum number of open files of the process.
    """
    # The rest is for database connections, listeners, files and pipes.
    return {"http": BoundedProtocol, "limit_concurrency": max(descriptors - 200, 100)}
