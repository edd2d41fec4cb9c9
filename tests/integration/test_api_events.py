from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx_sse import EventSource

from app.repositories.attempts import executions
from app.repositories.attempts.executions import Event
from app.schemas.series import EventRead
from app.services.attempts import execution
from app.services.live import events
from app.services.live.event_news import News
from models.base import now
from tests.support.api import Api, a_principal, finished_run, problem, running_run


async def told(api: Api, run_id: UUID | str, **headers: str) -> list[Any]:
    """The events of a stream that ends by itself."""
    response = await api.viewer.get(f"/v1/runs/{run_id}/events", headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    return list(EventSource(response).iter_sse())


async def test_the_stream_of_a_finished_run_ends(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    messages = await told(api, run_id)
    statuses = [m.json()["payload"]["status"] for m in messages if m.event == "status"]
    assert (statuses[0], statuses[-1]) == ("running", "succeeded")
    assert {m.event for m in messages} >= {"status", "stage"}
    ids = [int(m.id) for m in messages]
    assert ids == sorted(set(ids))
    assert all(m.json()["run_id"] == str(run_id) for m in messages)


async def test_the_stream_continues_after_the_last_event_seen(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    messages = await told(api, run_id)
    rest = await told(api, run_id, **{"Last-Event-ID": messages[1].id})
    assert [m.id for m in rest] == [m.id for m in messages[2:]]
    assert await told(api, run_id, **{"Last-Event-ID": messages[-1].id}) == []
    # A lab of 64 running attempts has a billion events within months.
    for far in (2_000_000_000, 10**17):
        assert await told(api, run_id, **{"Last-Event-ID": str(far)}) == []


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30, "1.5"])
async def test_a_made_up_event_id_is_rejected(api: Api, last: str) -> None:
    run_id = await api.post_run()
    refused = await api.viewer.get(f"/v1/runs/{run_id}/events", headers={"Last-Event-ID": last})
    problem(refused, 422, "invalid-request")


class Reader:
    """Collects a stream in the background."""

    def __init__(self, stream: AsyncIterator[News]) -> None:
        self.read: list[EventRead] = []
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._collect(stream))

    async def _collect(self, stream: AsyncIterator[News]) -> None:
        async for news in stream:
            self.read += news.events
            self._news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.read) < count:
                self._news.clear()
                await self._news.wait()


async def progress(api: Api, run_id: UUID, done: int) -> None:
    async with api.database.session_scope() as session:
        await executions.lock_run(session, run_id)
        event = Event("progress", now(), {"done": done})
        await executions.add_events(session, run_id, [event])


@pytest.mark.parametrize("listening", [True, False])
async def test_news_arrive_while_no_connection_is_held(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch, listening: bool
) -> None:
    api = committed_api
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 2)
        principal = await a_principal(session)
    hub = events.EventHub(api.database)
    # With a listener the clock may be slow, without one it must be enough.
    monkeypatch.setattr(events, "LISTENING_POLL_S", 600.0)
    listener = asyncio.create_task(hub.listen()) if listening else None
    readers = [Reader(events.stream(api.database, hub, principal, run_id, 0)) for _ in range(30)]
    try:
        await asyncio.gather(*(reader.until(1) for reader in readers))
        begun = len(readers[0].read)
        if listening:
            async with asyncio.timeout(60):
                await hub.listening.wait()
        for done in (1, 2):
            await progress(api, run_id, done)
            await asyncio.gather(*(reader.until(begun + done) for reader in readers))
        if listening:
            assert api.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        async with api.database.session_scope() as session:
            await execution.request_cancel(session, run_id)
            attempt_id = (await execution.open_attempts(session, "node"))[0].attempt_id
            await execution.close_lost(session, attempt_id)
        async with asyncio.timeout(60):
            await asyncio.gather(*(reader.task for reader in readers))
        for reader in readers:
            assert [event.payload for event in reader.read[begun : begun + 2]] == [
                {"done": 1},
                {"done": 2},
            ]
            assert reader.read[-1].payload["status"] == "cancelled"
    finally:
        for task in [reader.task for reader in readers] + ([listener] if listener else []):
            task.cancel()


async def test_readers_that_leave_are_forgotten(api: Api) -> None:
    hub = events.EventHub(api.database)
    run_id = uuid4()
    with hub.subscribed(run_id) as first, hub.subscribed(run_id) as second:
        hub.wake(run_id)
        assert first.is_set()
        assert second.is_set()
    hub.wake(run_id)
    assert not hub._readers
