"""The event stream of a run: one database listener for all its readers.

A waiting reader uses no connection: the listener wakes it, or the clock if the listener is
down. Readers that are woken together read together (:mod:`app.services.live.event_news`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta

from app.db import Database, Session
from app.repositories.outage import OUTAGES
from app.repositories.runs import events as run_events
from app.schemas.runs import WaitingRead
from app.schemas.series import EventRead
from app.services.live.event_news import BATCH, Gathered, News, read_access, read_news
from app.services.principals import Principal

log = logging.getLogger("pricetag.server")

POLL_S = 1.0
"""Interval at which readers poll while the listener is down, in s."""

LISTENING_POLL_S = 10.0
"""Interval at which readers poll while the listener is up, in s: its connection may be dead."""

RECONNECT_S = 1.0
KEEP_PASSING = timedelta(hours=1)
FINAL = frozenset({"succeeded", "failed", "cancelled"})


class EventHub:
    """Wakes readers when a run has new events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._readers: dict[uuid.UUID, set[asyncio.Event]] = defaultdict(set)
        self.watchers: list[Callable[[uuid.UUID | None], None]] = []
        """Called with each run that has new events; with None after an outage: any may have."""
        self.listening = asyncio.Event()
        self.news = Gathered(database, read_news)
        self.access = Gathered(database, read_access)

    @contextmanager
    def subscribed(self, run_id: uuid.UUID) -> Iterator[asyncio.Event]:
        """An event that is set whenever the run has new events."""
        woken = asyncio.Event()
        self._readers[run_id].add(woken)
        try:
            yield woken
        finally:
            self._readers[run_id].discard(woken)
            if not self._readers[run_id]:
                del self._readers[run_id]

    def wake(self, run_id: uuid.UUID) -> None:
        """Wakes the readers of one run."""
        for woken in self._readers.get(run_id, ()):
            woken.set()
        for watcher in self.watchers:
            watcher(run_id)

    async def listen(self) -> None:
        """Listens until canceled, through outages of the database."""
        while True:
            try:
                await self._listen_once()
            except OUTAGES as error:
                log.info("event listener lost the database: %s", error)
            finally:
                self.listening.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _listen_once(self) -> None:
        async with aclosing(run_events.notifications(self._database.url)) as notifications:
            async for payload in notifications:
                if payload is None:
                    self.listening.set()
                    self._wake_all()  # for events that came before the listener was up
                    continue
                try:
                    self.wake(uuid.UUID(payload))
                except ValueError:
                    log.warning("notification without a run ID: %r", payload[:80])

    def _wake_all(self) -> None:
        for run_id in list(self._readers):
            self.wake(run_id)
        for watcher in self.watchers:
            watcher(None)


async def stream(
    database: Database, hub: EventHub, principal: Principal, run_id: uuid.UUID, last_id: int
) -> AsyncIterator[News]:
    """News of a run after an id, as they arrive; ends after those of a finished run.

    While the run is queued and no live worker can take it, an event ``waiting`` gives the reason,
    again whenever that changes. It is not stored, and has the id of the event before it.

    Ends early once the principal's token is no longer active, or may no longer see the run.

    Args:
        database: Database to read.
        hub: Hub that wakes the reader.
        principal: The caller, who may see the run now.
        run_id: An existing run.
        last_id: ID of the last event that the client received; 0 for all.
    """
    reason: WaitingRead | None = None
    read = hub.news.at_once
    may_follow_until_s = time.monotonic() + LISTENING_POLL_S
    with hub.subscribed(run_id) as woken:
        while True:
            woken.clear()
            try:
                if time.monotonic() >= may_follow_until_s:
                    if not await hub.access.ask((principal, run_id)):
                        return
                    may_follow_until_s = time.monotonic() + LISTENING_POLL_S
                news = await read((run_id, last_id))
                read = hub.news.ask
            except OUTAGES as error:
                log.info("event stream of run %s waits for the database: %s", run_id, error)
                await asyncio.sleep(POLL_S)
                continue
            if news.events:
                last_id = news.events[-1].id
                yield news
            if len(news.events) == BATCH:
                continue
            if news.status is None or news.status in FINAL:
                return
            if news.reason != reason:
                reason = news.reason
                yield News(news.status, [_waiting(run_id, last_id, reason)])
            if not await _wait(woken, LISTENING_POLL_S if hub.listening.is_set() else POLL_S):
                may_follow_until_s = -math.inf  # nothing else to do: check again


def _waiting(run_id: uuid.UUID, last_id: int, reason: WaitingRead | None) -> EventRead:
    payload = {"waiting": None if reason is None else reason.model_dump(mode="json")}
    return EventRead(
        id=last_id, run_id=run_id, at=datetime.now(UTC), kind="waiting", payload=payload
    )


async def _wait(woken: asyncio.Event, timeout_s: float) -> bool:
    """Waits to be woken; False after a timeout."""
    try:
        async with asyncio.timeout(timeout_s):
            await woken.wait()
    except TimeoutError:
        return False
    return True


async def forget_passing(session: Session) -> int:
    """Deletes the progress and power events of runs that ended more than an hour ago.

    A run of one day has about 86,000 of them; their content is also in readings and metrics.

    Returns:
        The number of deleted events.
    """
    return await run_events.forget_passing(session, datetime.now(UTC) - KEEP_PASSING)
