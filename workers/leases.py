"""Keeps the leases of running attempts, and hears through them who must stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from uuid import UUID

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
CALL_TIMEOUT_S = 10.0


class LeaseState(Protocol):
    """What the database says of an attempt."""

    @property
    def cancel_requested(self) -> bool: ...
    @property
    def closed(self) -> bool: ...


class Stoppable(Protocol):
    """A supervisor, as far as its lease is concerned."""

    def request_stop(self, reason: str) -> None: ...
    def fence(self) -> None: ...


Renew = Callable[[list[UUID]], Awaitable[Mapping[UUID, LeaseState]]]


class LeaseKeeper:
    """Renews all leases of a worker once a second.

    When the database cannot be reached for ``lease_s``, every job is asked to save its
    state and leave: after that time somebody else may start it.

    Args:
        running: The supervisors by attempt, as they stand at any moment.
        renew: Renews leases in a transaction of its own.
        lease_s: How long a lease holds without renewal.
    """

    def __init__(self, running: Mapping[UUID, Stoppable], renew: Renew, *, lease_s: float) -> None:
        self._running = running
        self._renew = renew
        self._lease_s = lease_s
        self._last_renewed_s = time.monotonic()

    async def run(self) -> None:
        while True:
            await self.renew_once()
            await asyncio.sleep(INTERVAL_S)

    async def renew_once(self) -> None:
        asked_s = time.monotonic()
        attempts = list(self._running)
        try:
            states = await asyncio.wait_for(self._renew(attempts), CALL_TIMEOUT_S)
        except Exception as error:  # whatever it is, the lease was not renewed
            self._not_renewed(error)
            return
        self._last_renewed_s = asked_s
        for attempt_id, state in states.items():
            supervisor = self._running.get(attempt_id)
            if supervisor is None:
                continue
            if state.closed:
                logger.warning("attempt %s was closed by another: its job is ended", attempt_id)
                supervisor.fence()
            elif state.cancel_requested:
                supervisor.request_stop("cancelled")

    def _not_renewed(self, error: Exception) -> None:
        away_s = time.monotonic() - self._last_renewed_s
        logger.warning(
            "leases were not renewed for %.0f s (%s); jobs go on until %.0f s",
            away_s,
            type(error).__name__,
            self._lease_s,
        )
        if away_s > self._lease_s:
            for supervisor in list(self._running.values()):
                supervisor.request_stop("lease-lost")
