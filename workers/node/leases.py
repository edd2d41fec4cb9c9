"""Keeps the leases of running attempts, and learns from them which attempts must stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from uuid import UUID

from app.cancellation import heed_cancellation
from workers.node.silence import silence_limit_s

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
CALL_TIMEOUT_S = 10.0


class StopOrder(Protocol):
    """Reason to stop an attempt other than a request to cancel."""

    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...


class LeaseState(Protocol):
    """State of an attempt's lease in the database."""

    @property
    def cancel_requested(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def stop(self) -> StopOrder | None: ...


class Stoppable(Protocol):
    """A supervisor, as seen by the lease keeper."""

    def pulse(self) -> None: ...
    def request_stop(self, reason: str, message: str | None = None) -> None: ...
    def fence(self) -> None: ...


Renew = Callable[[list[UUID]], Awaitable[Mapping[UUID, LeaseState]]]


class LeaseKeeper:
    """Renews all leases of a worker once a second.

    When the database cannot be reached for long, every job is asked to save its state and
    leave, early enough to do so within its grace; once the lease is about to end it is killed,
    since another worker may start the run afterwards.

    Args:
        running: The supervisors by attempt, kept up to date by the worker.
        renew: Renews leases in its own transaction.
        lease_s: Duration of a lease without renewal, in s.
        grace_s: Time a job may take to stop, in s.
    """

    def __init__(
        self,
        running: Mapping[UUID, Stoppable],
        renew: Renew,
        *,
        lease_s: float,
        grace_s: float,
    ) -> None:
        self._running = running
        self._renew = renew
        self._limit_s = silence_limit_s(lease_s)
        self._patience_s = max(self._limit_s - grace_s, 0.5 * lease_s)
        self._last_renewed_s = time.monotonic()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_renewing())
            tasks.create_task(self._keep_watch())

    async def _keep_renewing(self) -> None:
        while True:
            await self.renew_once()
            heed_cancellation()
            await asyncio.sleep(INTERVAL_S)

    async def _keep_watch(self) -> None:
        """Check leases in its own task, because a renewal may hang with the database."""
        while True:
            self.watch_once()
            await asyncio.sleep(INTERVAL_S)

    async def renew_once(self) -> None:
        asked_s = time.monotonic()
        attempts = list(self._running)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                states = await self._renew(attempts)
        except Exception as error:  # for any error, the lease was not renewed
            logger.warning(
                "leases were not renewed for %.0f s (%s); jobs continue until %.0f s",
                time.monotonic() - self._last_renewed_s,
                type(error).__name__,
                self._patience_s,
            )
            return
        self._last_renewed_s = asked_s
        for attempt_id, state in states.items():
            supervisor = self._running.get(attempt_id)
            if supervisor is None:
                continue
            if state.closed:
                logger.warning("attempt %s was closed elsewhere; stopping its job", attempt_id)
                supervisor.fence()
                continue
            supervisor.pulse()
            if state.cancel_requested:
                supervisor.request_stop("cancelled")
            elif state.stop is not None:
                supervisor.request_stop(state.stop.code, state.stop.message)

    def watch_once(self) -> None:
        """Stops the jobs whose leases are about to end, by a request while there is time."""
        away_s = time.monotonic() - self._last_renewed_s
        for supervisor in list(self._running.values()):
            if away_s > self._patience_s:
                supervisor.request_stop("lease-lost")
            if away_s > self._limit_s:
                supervisor.fence()
