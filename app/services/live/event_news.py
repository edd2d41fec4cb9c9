"""New events of many runs for many readers: one read serves all requests of the same moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.db import Database, Session
from app.repositories.attempts import executions
from app.repositories.people import visibility
from app.repositories.people.visibility import Viewer
from app.repositories.runs import events as run_events
from app.schemas.runs import WaitingRead
from app.schemas.series import EventRead
from app.services.people import tokens, web_sessions
from app.services.principals import Principal
from app.services.queueing import waiting
from app.services.quoting import projection

GATHER_S = 0.05
"""Time for which requests of readers are collected for one read, in s; the first request after a
pause is read at once."""

LONGEST_GATHER_S = 0.5

PAUSE_RATIO = 20.0
"""Shortest pause between two reads, in durations of the first: with many changing runs or a slow
database, reads become less frequent instead of continuous."""

BATCH = 200
"""Maximum number of events of one run that are read at once."""

Asked = TypeVar("Asked")
Told = TypeVar("Told")


@dataclass(slots=True)
class News:
    """Changes of a run since an event.

    Attributes:
        status: Status of the run; None if there is no such run.
        events: Events, at most ``BATCH``; all events before the status are among those that are
            read until fewer come.
        reason: Why no live worker can take the run, while it is queued.
    """

    status: str | None
    events: list[EventRead] = field(default_factory=list)
    reason: WaitingRead | None = None
    _encoded: bytes | None = None

    def encoded(self, encode: Callable[[Sequence[EventRead]], bytes]) -> bytes:
        """The events as bytes, encoded once for all readers who get them."""
        if self._encoded is None:
            self._encoded = encode(self.events)
        return self._encoded


class Gathered(Generic[Asked, Told]):
    """Reads for all requests within a short time, in one session; one read at a time.

    A request during a read is served by the next one, so that every response has all events up to
    its request.

    Args:
        database: Database to read.
        read: Reads the requested items.
    """

    def __init__(
        self,
        database: Database,
        read: Callable[[Session, Collection[Asked]], Awaitable[Mapping[Asked, Told]]],
    ) -> None:
        self._database = database
        self._read = read
        self._asked: dict[Asked, asyncio.Future[Told]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._rest_until_s = 0.0
        self._hurried = asyncio.Event()

    async def ask(self, asked: Asked, *, hurry: bool = False) -> Told:
        """The news of a request.

        Args:
            asked: Items to read.
            hurry: Whether to end the pause: a single request is no more work than any other one.
                Requests in the meantime still share the read.

        Raises:
            Exception: Any exception of the read.
        """
        future = self._asked.get(asked)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(_seen)
            self._asked[asked] = future
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        if hurry:
            self._hurried.set()
        return await asyncio.shield(future)

    async def at_once(self, asked: Asked) -> Told:
        """The same without a pause, in its own session: a reader's first read, which is no
        more work than any other request.

        It continues if the reader leaves: a query that is interrupted costs its connection.
        """
        reading = asyncio.create_task(self._read_one(asked))
        reading.add_done_callback(_seen)
        return await asyncio.shield(reading)

    async def _read_one(self, asked: Asked) -> Told:
        async with self._database.session_scope() as session:
            return (await self._read(session, [asked]))[asked]

    async def _read_all(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._asked:
            rest_s = self._rest_until_s - clock()
            await self._pause(0.0 if rest_s < -GATHER_S else max(GATHER_S, rest_s))
            asked, self._asked = self._asked, {}
            began_s = clock()
            try:
                async with self._database.session_scope() as session:
                    news = await self._read(session, list(asked))
            except BaseException as error:
                for future in asked.values():
                    if not future.done():
                        future.set_exception(_copied(error))
                if not isinstance(error, Exception):
                    raise
                continue
            finally:
                pause_s = PAUSE_RATIO * (clock() - began_s)
                self._rest_until_s = clock() + min(pause_s, LONGEST_GATHER_S)
            for key, future in asked.items():
                if not future.done():
                    future.set_result(news[key])

    async def _pause(self, pause_s: float) -> None:
        """Waits for further requests, or until one must not wait."""
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._hurried.wait()
        self._hurried.clear()


def _seen(future: asyncio.Future[Any]) -> None:
    """Retrieves the error of a reader that has disconnected."""
    if not future.cancelled():
        future.exception()


def _copied(error: BaseException) -> BaseException:
    # A future must not end by cancellation of the task that would have filled it.
    return error if isinstance(error, Exception) else ConnectionError("the read was interrupted")


async def read_news(
    session: Session, asked: Collection[tuple[UUID, int]]
) -> Mapping[tuple[UUID, int], News]:
    """Changes of several runs, each since an event: ``(run id, event id)``."""
    run_ids = list({run_id for run_id, _ in asked})
    # The status is read first, so that all events before it are included.
    status = await executions.statuses(session, run_ids)
    news = {key: News(status.get(key[0])) for key in asked}
    for key, event in await run_events.after_each(session, list(asked), BATCH):
        news[key].events.append(EventRead.model_validate(event))
    latest = _latest_progress(news)
    await _project(session, {run_id for run_id, _ in latest}, latest.values())
    queued = [run_id for run_id in run_ids if status.get(run_id) == "queued"]
    for run in await executions.runs(session, queued):
        reason = await waiting.of_run(session, run)
        for key, item in news.items():
            if key[0] == run.id:
                item.reason = reason
    return news


def _latest_progress(news: Mapping[tuple[UUID, int], News]) -> dict[tuple[UUID, int], EventRead]:
    """The latest progress event of each running run, for each reader."""
    progress_events: dict[tuple[UUID, int], EventRead] = {}
    for key, item in news.items():
        if item.status == "running":
            for event in item.events:
                if event.kind == "progress":
                    progress_events[key] = event
    return progress_events


async def _project(
    session: Session, run_ids: Collection[UUID], latest: Collection[EventRead]
) -> None:
    """Adds the current projection to the latest progress events."""
    if not run_ids:
        return
    runs = await executions.runs(session, run_ids)
    reported = [run for run in runs if run.progress is not None]
    projected = await projection.of_runs(session, reported)
    for event in latest:
        run_projection = projected.get(event.run_id)
        if run_projection is not None:
            event.payload["projection"] = run_projection.model_dump(mode="json")


async def read_access(
    session: Session, asked: Collection[tuple[Principal, UUID]]
) -> Mapping[tuple[Principal, UUID], bool]:
    """Whether principals may still follow runs: ``(principal, run id)``."""
    present = await still_present(session, {principal for principal, _ in asked})
    wanted: dict[Viewer, set[UUID]] = defaultdict(set)
    for principal, run_id in asked:
        now = present.get(principal)
        if now is not None and now.has("viewer"):
            wanted[now.viewer].add(run_id)
    visible = {
        viewer: await visibility.visible_runs(session, viewer, list(run_ids))
        for viewer, run_ids in wanted.items()
    }
    return {key: _may_follow(key, present, visible) for key in asked}


async def still_present(
    session: Session, principals: Collection[Principal]
) -> Mapping[Principal, Principal]:
    """The current state of principals whose token or session is still active."""
    by_token = await tokens.present(session, principals)
    by_session = await web_sessions.present(session, principals)
    now = {
        principal: by_token.get(principal.token_id)
        if principal.session_id is None and principal.token_id is not None
        else by_session.get(principal.session_id)
        if principal.session_id is not None
        else None
        for principal in principals
    }
    return {principal: state for principal, state in now.items() if state is not None}


def _may_follow(
    asked: tuple[Principal, UUID],
    present: Mapping[Principal, Principal],
    visible: Mapping[Viewer, Collection[UUID]],
) -> bool:
    principal, run_id = asked
    now = present.get(principal)
    return now is not None and run_id in visible.get(now.viewer, ())
