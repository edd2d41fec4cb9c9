"""The live hub: changes in the lab, cut into ticks that all readers share.

A reader has no queue: it remembers its last tick, and takes the newer ones when it can send again.
A slow reader gets fewer, coalesced frames; one that is too slow starts over. Data for several
readers are encoded once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from itertools import islice
from uuid import UUID

from app.cancellation import heed_cancellation
from app.db import Database, Session
from app.repositories.outage import OUTAGES
from app.repositories.runs.events import notifications
from app.repositories.runs.live import POWER_CHANNEL, POWER_LISTENER
from app.schemas.stream import Topic
from app.services.live import state
from app.services.live.access import Audience, audiences
from app.services.live.event_news import Gathered
from app.services.live.events import RECONNECT_S, EventHub
from app.services.live.messages import (
    Tick,
    budgets_text,
    coalesced_events,
    database_event,
    event,
    pieces,
    power_events,
    queue_text,
    resync,
    run_events,
)
from app.services.live.power import PowerBoard
from app.services.live.state import OwnedBudget, OwnedRun
from app.services.principals import Principal
from app.services.queueing import pool_queue
from app.services.queueing.pool_queue import QueueState

log = logging.getLogger("pricetag.server")

TICK_S = 0.5
KEPT_TICKS = 120
"""Number of ticks that are kept: a reader that is at most a minute behind misses nothing."""

COALESCE_TICKS = 4
"""A reader that is further behind gets coalesced frames."""

RUNS_EVERY = 2
STATES_EVERY = 10
ACCESS_EVERY = 20
"""Ticks between two reads of changed runs, of queue and budgets, and of access rights."""

STATES: tuple[Topic, ...] = ("queue", "budgets")
FRESH_S = 1.0
"""Maximum age of queue and budgets that a new reader gets from an earlier read, in s."""

BEAT_TICKS = 30
"""Number of ticks without data after which a reader gets a comment."""

BEAT = b": connected\n\n"


class Reader:
    """One open stream.

    Attributes:
        principal: The reader.
        topics: Topics of the stream.
        audience: The visible projects; None once access has ended.
        is_patient: Whether its snapshot begins with means of the last ten minutes.
        follows: Whether it continues after its snapshot.
        heard: The last tick after which it received data.
        sent: Last sent state of each topic that is sent as a whole.
    """

    def __init__(
        self,
        principal: Principal,
        topics: frozenset[Topic],
        audience: Audience | None,
        *,
        is_patient: bool = False,
        follows: bool = True,
    ) -> None:
        self.principal = principal
        self.topics = topics
        self.audience = audience
        self.is_patient = is_patient
        self.follows = follows
        self.heard = 0
        self.sent: dict[Topic, bytes] = {}


class LiveHub:
    """Collects changes in the lab for all readers of one server process.

    Args:
        database: Database to read and to listen to.
        events: Announces the runs that have new events.
    """

    def __init__(self, database: Database, events: EventHub) -> None:
        self._database = database
        self.board = PowerBoard()
        self.readers: set[Reader] = set()
        self._boot = secrets.token_hex(4)
        self._number = 0
        self._ticks: deque[Tick] = deque(maxlen=KEPT_TICKS)
        self._ticked = asyncio.Event()
        self._changed_runs: set[UUID] = set()
        self._are_runs_lost = False
        self._runs_since = 0
        self._queue: QueueState | None = None
        self._budgets: Sequence[OwnedBudget] | None = None
        self._states_read_s: dict[Topic, float] = {}
        self._state_texts: dict[tuple[Topic, Audience], bytes] = {}
        self._coalesced: dict[tuple[int, frozenset[Topic], Audience], list[bytes]] = {}
        self._power_snapshots: dict[bool, tuple[int, list[bytes]]] = {}
        self._is_reachable = self._was_reachable = True
        self._is_closed = False
        self._audiences = Gathered(database, audiences)
        self._open_runs = Gathered(database, _read_open_runs)
        self._new_states = Gathered(database, self._read_stale_states)
        events.watchers.append(self._on_run)

    def _on_run(self, run_id: UUID | None) -> None:
        if run_id is None:
            self._are_runs_lost = True
        elif self._has_readers("runs"):
            self._changed_runs.add(run_id)

    def _has_readers(self, topic: Topic) -> bool:
        return any(topic in reader.topics for reader in self.readers)

    async def listen(self) -> None:
        """Receives live power until canceled, through outages of the database."""
        while True:
            try:
                source = notifications(self._database.url, POWER_CHANNEL, POWER_LISTENER)
                async with aclosing(source) as messages:
                    async for message in messages:
                        self._is_reachable = True
                        if message is not None:
                            self.board.receive(message, time.monotonic())
            except OUTAGES as error:
                log.info("live power lost the database: %s", error)
                self._is_reachable = False
            await asyncio.sleep(RECONNECT_S)

    def close(self) -> None:
        """Ends all streams, since the server stops."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        self._ticked.set()
        self._ticked = asyncio.Event()

    async def keep_ticking(self) -> None:
        """Cuts a tick twice a second until canceled."""
        while True:
            started_s = time.monotonic()
            try:
                await self.tick()
            except OUTAGES as error:
                log.info("live pages wait for the database: %s", error)
                self._are_runs_lost = True
            except Exception:
                log.exception("a tick of the live pages failed")
                self._are_runs_lost = True
            heed_cancellation()
            await asyncio.sleep(max(0.05, TICK_S - (time.monotonic() - started_s)))

    async def tick(self) -> None:
        """Cuts one tick, and wakes the readers if it has anything for them."""
        devices, frames = self.board.cut(time.monotonic())
        tick = Tick(self._number + 1, self._boot, devices, frames)
        if self._is_reachable is not self._was_reachable:
            tick.is_reachable = self._was_reachable = self._is_reachable
        is_for_all = tick.number % BEAT_TICKS == 0
        try:
            is_for_all |= await self._read(tick)
        except BaseException:
            is_for_all = True
            raise
        finally:
            self._ticks.append(tick)
            self._number = tick.number
            self._coalesced.clear()
            if is_for_all or not tick.is_empty:
                self._wake()

    async def _read(self, tick: Tick) -> bool:
        """Reads the topics that readers follow, each once for all readers.

        Returns:
            Whether there are data for readers besides the tick.
        """
        is_read = False
        if tick.number % ACCESS_EVERY == 0 and self.readers:
            await self._renew_audiences()
            is_read = True
        if not self._has_readers("runs"):
            self._changed_runs.clear()
            self._are_runs_lost = False
            self._runs_since = tick.number
        elif tick.number % RUNS_EVERY == 0:
            is_read |= self._are_runs_lost
            await self._read_runs(tick)
        if tick.number % STATES_EVERY == 0:
            topics = {topic for reader in self.readers for topic in reader.topics}
            if topics.intersection(STATES):
                async with self._database.session_scope() as session:
                    await self._read_states(session, topics)
                is_read = True
        return is_read

    async def _read_runs(self, tick: Tick) -> None:
        if self._are_runs_lost:
            # Any run may have changed: readers start over.
            self._are_runs_lost, self._runs_since = False, tick.number
            return
        changed, self._changed_runs = self._changed_runs, set()
        if changed:
            async with self._database.session_scope() as session:
                tick.runs = await state.runs(session, changed)

    async def _read_states(self, session: Session, topics: Collection[Topic]) -> None:
        """Reads the queue and the budgets, if they are among the topics."""
        if "queue" in topics:
            self._queue = await pool_queue.look(session)
            self._states_read_s["queue"] = time.monotonic()
        if "budgets" in topics:
            self._budgets = await state.budgets(session)
            self._states_read_s["budgets"] = time.monotonic()
        self._state_texts.clear()

    async def _read_stale_states(
        self, session: Session, asked: Collection[Topic]
    ) -> dict[Topic, None]:
        """The same for new readers, unless it was read for others a moment ago."""
        await self._read_states(session, [topic for topic in asked if self._is_stale(topic)])
        return dict.fromkeys(asked)

    def _is_stale(self, topic: Topic) -> bool:
        read_s = self._states_read_s.get(topic)
        return read_s is None or read_s < time.monotonic() - FRESH_S

    async def _renew_audiences(self) -> None:
        readers = list(self.readers)
        async with self._database.session_scope() as session:
            present = await audiences(session, {reader.principal for reader in readers})
        for reader in readers:
            reader.audience = present[reader.principal]

    async def stream(
        self,
        principal: Principal,
        topics: frozenset[Topic],
        last_id: str | None = None,
        *,
        follow: bool = True,
        is_patient: bool = False,
    ) -> AsyncGenerator[bytes]:
        """Server-sent events: a snapshot, then changes; ends when the reader loses access.

        Args:
            principal: The caller.
            topics: Topics to follow.
            last_id: ID of the last event that the client received.
            follow: Whether to continue after the snapshot.
            is_patient: Whether the snapshot has means of the last ten minutes, too.
        """
        # A reader that does not follow reads once, as in any other request.
        audience = await self._audiences.ask(principal, hurry=not follow)
        reader = Reader(principal, topics, audience, is_patient=is_patient, follows=follow)
        self.readers.add(reader)
        try:
            cursor = self._resumed(last_id, topics)
            if cursor is None:
                cursor = self._number
                if last_id is not None:
                    yield resync(self._id(cursor))
                async for piece in self._snapshot(reader, cursor):
                    yield piece
            reader.heard = cursor
            while follow and reader.audience is not None and not self._is_closed:
                ticked = self._ticked
                if self._number == cursor:
                    await ticked.wait()
                if self._is_lost(cursor, topics):
                    cursor = self._number
                    yield resync(self._id(cursor))
                    async for piece in self._snapshot(reader, cursor):
                        yield piece
                    continue
                parts, cursor = self._since(reader, cursor), self._number
                if not parts and cursor >= reader.heard + BEAT_TICKS:
                    parts = [BEAT]
                if parts:
                    reader.heard = cursor
                for part in parts:
                    yield part
        finally:
            self.readers.discard(reader)

    def _id(self, number: int) -> str:
        return f"{self._boot}-{number}"

    def _resumed(self, last_id: str | None, topics: Collection[Topic]) -> int | None:
        """The tick after which a reader continues; None if it has to start over."""
        boot, _, number = (last_id or "").partition("-")
        if boot != self._boot or not number.isdecimal() or int(number) > self._number:
            return None
        return None if self._is_lost(int(number), topics) else int(number)

    def _is_lost(self, cursor: int, topics: Collection[Topic]) -> bool:
        """Whether data after a tick are no longer available."""
        oldest = self._ticks[0].number if self._ticks else self._number + 1
        return cursor + 1 < oldest or ("runs" in topics and cursor < self._runs_since)

    async def _snapshot(self, reader: Reader, cursor: int) -> AsyncIterator[bytes]:
        """The present state of each topic."""
        id_, audience = self._id(cursor), reader.audience
        if audience is None:
            return
        if not self._was_reachable:
            yield database_event(id_, is_reachable=False)
        if "power" in reader.topics:
            for piece in self._power_snapshot(cursor, is_long=reader.is_patient):
                yield piece
        if "runs" in reader.topics:
            running = await self._open_runs.ask(None, hurry=not reader.follows)
            for piece in pieces(run_events(id_, running, audience, whole=True)):
                yield piece
        stale = [topic for topic in STATES if topic in reader.topics and self._is_stale(topic)]
        hurry = not reader.follows
        await asyncio.gather(*(self._new_states.ask(topic, hurry=hurry) for topic in stale))
        for part in self._states(reader, id_):
            yield part

    def _power_snapshot(self, cursor: int, *, is_long: bool) -> list[bytes]:
        """All devices and their samples, in pieces; encoded once per tick."""
        number, parts = self._power_snapshots.get(is_long, (-1, []))
        if number != cursor:
            frames = [*(self.board.long_history() if is_long else ()), *self.board.history()]
            events = power_events(self._id(cursor), self.board.devices(), frames, whole=True)
            parts = pieces(events)
            self._power_snapshots[is_long] = (cursor, parts)
        return parts

    def _since(self, reader: Reader, cursor: int) -> list[bytes]:
        """The pieces that a reader receives after a tick."""
        audience = reader.audience
        if audience is None:
            return []
        count = min(self._number - cursor, len(self._ticks))
        newest = islice(reversed(self._ticks), count)
        missed = [tick for tick in newest if not tick.is_empty][::-1]
        id_ = self._id(self._number)
        if len(missed) > COALESCE_TICKS:
            key = (cursor, reader.topics, audience)
            if key not in self._coalesced:
                events = coalesced_events(id_, missed, reader.topics, audience)
                self._coalesced[key] = pieces(events)
            parts = self._coalesced[key]
        elif len(missed) == 1:
            parts = missed[0].pieces(reader.topics, audience)
        else:
            parts = pieces([e for tick in missed for e in tick.encoded(reader.topics, audience)])
        return [*parts, *self._states(reader, id_)]

    def _states(self, reader: Reader, id_: str) -> list[bytes]:
        """The queue and the budgets, if they changed since they were last sent."""
        audience, parts = reader.audience, []
        if audience is None:
            return []
        for topic in STATES:
            if topic in reader.topics:
                text = self._state_text(topic, audience)
                if text is not None and reader.sent.get(topic) != text:
                    reader.sent[topic] = text
                    parts.append(event(topic, id_, text))
        return parts

    def _state_text(self, topic: Topic, audience: Audience) -> bytes | None:
        """The newest state of a topic for an audience, encoded once; None before the first read."""
        key = (topic, audience)
        if key not in self._state_texts:
            if topic == "queue" and self._queue is not None:
                self._state_texts[key] = queue_text(self._queue, audience)
            elif topic == "budgets" and self._budgets is not None:
                self._state_texts[key] = budgets_text(self._budgets, audience)
        return self._state_texts.get(key)


async def _read_open_runs(session: object, asked: Collection[None]) -> dict[None, list[OwnedRun]]:
    return {None: await state.runs(session, None)}  # type: ignore[arg-type]
