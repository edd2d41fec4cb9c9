"""The live stream: a snapshot, changes, resuming, slow readers, and who sees what."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest
from psycopg import OperationalError
from sqlalchemy import text, update

from app.api.live_response import LiveResponse
from app.repositories.runs.events import notifications
from app.repositories.runs.live import POWER_CHANNEL, POWER_LISTENER
from app.schemas.stream import Topic
from app.services.live import hub as live_hub
from app.services.live import live_power, state
from app.services.live.events import EventHub
from app.services.live.hub import LiveHub
from app.services.live.messages import PIECE_BYTES
from app.services.people import tokens
from app.services.principals import Principal
from app.services.queueing import pool_queue, waiting
from app.services.queueing.waiting import Offer
from models import Project
from tests.support.api import Api, a_principal
from tests.support.budgets import make_budget
from tests.support.executions import claimed

T0 = 1_772_366_400_000
POWER: frozenset[Topic] = frozenset(("power",))
RUNS: frozenset[Topic] = frozenset(("runs",))


def batch(second: int = 0, count: int = 1, watts: int = 300, node: str = "n1") -> str:
    rows = [
        {"id": f"gpu:{n}", "kind": "gpu", "name": "H200", "limit_w": 700, "w": [watts + n] * 10}
        for n in range(count)
    ]
    head = {"node": node, "t0": T0 + 1000 * second, "dt_ms": 100}
    return json.dumps({**head, "components": rows})


def parsed(text: bytes) -> list[tuple[str, str, Any]]:
    """ID, name and data of each event."""
    events = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if fields:
            events.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return events


async def some(stream: AsyncIterator[bytes], count: int) -> list[tuple[str, str, Any]]:
    """The next events, at least `count`."""
    events: list[tuple[str, str, Any]] = []
    while len(events) < count:
        events += parsed(await anext(stream))
    return events


def names(events: list[tuple[str, str, Any]]) -> list[str]:
    return [name for _, name, _ in events]


async def principal(api: Api, role: Any = "admin") -> Principal:
    async with api.database.session_scope() as session:
        return await a_principal(session, role)


@pytest.fixture
def live(api: Api) -> LiveHub:
    hub: LiveHub = api.app.state.resources.live
    return hub


async def test_the_snapshot_has_each_topic(api: Api, live: LiveHub) -> None:
    async with api.database.session_scope() as session:
        await waiting.announce(session, "w1", "n1", Offer("default", 0, 1, True))
    budget = await make_budget(api, scope="lab", amount=10)
    run_id = await api.post_run()
    async with api.database.session_scope() as session:
        await claimed(session, UUID(run_id))
    waits = await api.post_run(name="waits")
    live.board.receive(batch(), time.monotonic())
    live.board.cut(time.monotonic())
    response = await api.viewer.get("/v1/stream", params={"follow": "false"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in response.headers
    events = {name: data for _, name, data in parsed(response.content)}
    assert list(events) == ["devices", "power", "runs", "queue", "budgets"]
    [device] = events["devices"]["items"]
    assert (device["node"], device["component"], device["reporting"]) == ("n1", "gpu:0", True)
    assert events["power"] == {"t0": T0, "dt_ms": 100, "ids": [device["id"]], "w": [[300] * 10]}
    [run] = events["runs"]["items"]
    assert (events["runs"]["whole"], run["id"], run["node"]) == (True, run_id, "node")
    [pool] = events["queue"]["pools"]
    assert [each["run_id"] for each in pool["waiting"]] == [waits]
    assert [each["id"] for each in events["budgets"]["items"]] == [budget["id"]]
    one = await api.viewer.get("/v1/stream", params={"follow": "false", "topics": "queue"})
    assert names(parsed(one.content)) == ["queue"]
    wrong = await api.viewer.get("/v1/stream", params={"topics": "power,weather"})
    assert wrong.status_code == 422
    assert "'weather' is not a topic" in wrong.text


async def test_a_workers_samples_reach_the_readers_by_notification(committed_api: Api) -> None:
    api = committed_api
    live = LiveHub(api.database, EventHub(api.database))
    listening = asyncio.create_task(live.listen())
    reader = live.stream(await principal(api), POWER)
    assert names(await some(reader, 1)) == ["devices"]

    async def send() -> None:
        second = 0
        while True:  # the first may come before the listener is up
            async with api.database.session_scope() as session:
                await live_power.send(session, batch(second))
            await live.tick()
            second += 1
            await asyncio.sleep(0.01)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(60), aclosing(reader):
            events = await some(reader, 2)
    finally:
        for task in (sending, listening):
            task.cancel()
        await asyncio.wait([sending, listening])
    assert names(events)[:2] == ["devices", "power"]
    assert events[1][2]["w"] == [[300] * 10]


async def test_changes_of_runs_come_with_ids_and_hidden_ones_do_not(
    api: Api, live: LiveHub
) -> None:
    seen, hidden = await api.post_run(), await api.post_run(project="secret", name="hidden run")
    async with api.database.session_scope() as session:
        values = update(Project).where(Project.name == "secret").values(visibility="private")
        await session.execute(values)
    topics: frozenset[Topic] = frozenset(("runs", "queue"))
    outsider = live.stream(await principal(api, "viewer"), topics)
    admin = live.stream(await principal(api), topics)
    await some(outsider, 2)
    await some(admin, 2)
    events: EventHub = api.app.state.resources.hub
    async with api.database.session_scope() as session:
        for run_id in (seen, hidden):
            await claimed(session, UUID(run_id))
            events.wake(UUID(run_id))
    for _ in range(2):
        await live.tick()
    [(id_, name, data)] = await some(admin, 1)
    assert (name, data["whole"], {run["id"] for run in data["items"]}) == (
        "runs",
        False,
        {seen, hidden},
    )
    assert id_.endswith("-2")
    text = await anext(outsider)
    assert [run["id"] for run in parsed(text)[0][2]["items"]] == [seen]
    assert b"hidden run" not in text
    assert b"secret" not in text


async def test_a_reader_resumes_after_its_last_event_or_starts_over(
    api: Api, live: LiveHub
) -> None:
    who = await principal(api)
    live.board.receive(batch(0), time.monotonic())
    await live.tick()
    first = live.stream(who, POWER)
    events = await some(first, 2)
    last_id = events[-1][0]
    await first.aclose()
    for second in (1, 2):
        live.board.receive(batch(second), time.monotonic())
        await live.tick()
    resumed = await some(live.stream(who, POWER, last_id), 2)
    assert [data["t0"] for _, _, data in resumed] == [T0 + 1000, T0 + 2000]
    boot, _, _ = last_id.partition("-")
    for unknown in ("other-1", f"{boot}-99", f"{boot}-x", "", boot):
        again = live.stream(who, POWER, unknown, follow=False)
        assert names([e async for text in again for e in parsed(text)])[:2] == ["resync", "devices"]
    for _ in range(live_hub.KEPT_TICKS):
        await live.tick()
    late = await some(live.stream(who, POWER, last_id), 2)
    assert names(late)[:2] == ["resync", "devices"]


async def test_a_slow_reader_gets_fewer_frames_and_holds_no_queue(api: Api, live: LiveHub) -> None:
    reader = live.stream(await principal(api), POWER)
    await some(reader, 1)
    for second in range(10):
        live.board.receive(batch(second, count=64), time.monotonic())
        await live.tick()
    events = await some(reader, 11)
    frames = [data for _, name, data in events if name == "power"]
    assert [(frame["t0"], frame["dt_ms"]) for frame in frames] == [
        (T0 + 1000 * second, 1000) for second in range(10)
    ]
    assert frames[0]["w"] == [[300 + n] for n in range(64)]
    # What it missed is held once for all readers, for a minute.
    for second in range(10, 11 + live_hub.KEPT_TICKS):
        live.board.receive(batch(second), time.monotonic())
        await live.tick()
    assert names(await some(reader, 1))[0] == "resync"
    assert len(live._ticks) == live_hub.KEPT_TICKS


async def test_pieces_are_short_and_end_with_an_event(api: Api, live: LiveHub) -> None:
    for second in range(60):
        live.board.receive(batch(second, count=40), time.monotonic())
    live.board.cut(time.monotonic())
    snapshot = live.stream(await principal(api), POWER, follow=False)
    texts = [text async for text in snapshot]
    assert len(texts) > 5
    assert all(text.endswith(b"\n\n") for text in texts)
    assert max(map(len, texts)) < 2 * PIECE_BYTES
    assert len([e for text in texts for e in parsed(text) if e[1] == "power"]) == 60


async def test_queue_and_budgets_are_sent_when_they_change(api: Api, live: LiveHub) -> None:
    reader = live.stream(await principal(api), frozenset(("queue", "budgets")))
    assert names(await some(reader, 2)) == ["queue", "budgets"]
    await make_budget(api, scope="lab", amount=10)
    for _ in range(live_hub.STATES_EVERY):
        await live.tick()
    [(_, name, data)] = await some(reader, 1)
    assert (name, len(data["items"])) == ("budgets", 1)
    await api.post_run()
    for _ in range(live_hub.STATES_EVERY):
        await live.tick()
    assert names(await some(reader, 1)) == ["queue"]


async def test_a_stream_ends_once_its_token_is_revoked(api: Api, live: LiveHub) -> None:
    async with api.database.session_scope() as session:
        who, admin = await a_principal(session, "viewer"), await a_principal(session)
    reader = live.stream(who, POWER)
    await some(reader, 1)
    async with api.database.session_scope() as session:
        assert who.token_id is not None
        await tokens.revoke(session, who.token_id, admin)
    for _ in range(live_hub.ACCESS_EVERY):
        live.board.receive(batch(), time.monotonic())
        await live.tick()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    assert live.readers == set()


async def test_after_an_outage_readers_start_over(
    api: Api, live: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: EventHub = api.app.state.resources.hub
    run_id = UUID(await api.post_run())
    reader = live.stream(await principal(api), RUNS)
    await some(reader, 1)
    read = state.runs

    async def away(*_: Any) -> Any:
        raise OperationalError("the database is away")

    monkeypatch.setattr(state, "runs", away)
    ticking = asyncio.create_task(live.keep_ticking())
    monkeypatch.setattr(live_hub, "TICK_S", 0.0)
    following = asyncio.ensure_future(some(reader, 2))
    events.wake(run_id)
    while not live._are_runs_lost:
        await asyncio.sleep(0.01)
    monkeypatch.setattr(state, "runs", read)
    try:
        async with asyncio.timeout(60):
            assert names(await following) == ["resync", "runs"]
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])


async def test_run_changes_of_an_interval_without_readers_are_not_missed(
    api: Api, live: LiveHub
) -> None:
    who = await principal(api)
    reader = live.stream(who, RUNS)
    last_id = (await some(reader, 1))[-1][0]
    await reader.aclose()
    await live.tick()  # nobody follows: changes are not read
    assert names(await some(live.stream(who, RUNS, last_id), 2)) == ["resync", "runs"]


async def test_many_new_readers_cost_one_read(
    api: Api, live: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    look, budgets = pool_queue.look, state.budgets

    async def counted_look(*arguments: Any, **options: Any) -> Any:
        reads.append("queue")
        return await look(*arguments, **options)

    async def counted_budgets(*arguments: Any) -> Any:
        reads.append("budgets")
        return await budgets(*arguments)

    monkeypatch.setattr(pool_queue, "look", counted_look)
    monkeypatch.setattr(state, "budgets", counted_budgets)
    monkeypatch.setattr(live_hub, "FRESH_S", 3600.0)
    who, topics = await principal(api), frozenset(live_hub.STATES)

    async def snapshot() -> list[str]:
        reader = live.stream(who, topics, follow=False)
        return names([event async for piece in reader for event in parsed(piece)])

    shown = await asyncio.gather(*(snapshot() for _ in range(50)))
    assert shown == [["queue", "budgets"]] * 50
    assert sorted(reads) == ["budgets", "queue"]


async def test_live_power_does_not_wait_for_the_disk_and_is_not_sent_to_nobody(
    committed_api: Api,
) -> None:
    database = committed_api.database

    async def commits_by() -> str | None:
        """How the transaction of a message commits, where a commit usually waits."""
        async with database.session_scope() as session:
            await session.execute(text("SET LOCAL synchronous_commit = 'on'"))
            await live_power.send(session, batch())
            how: str | None = await session.scalar(text("SHOW synchronous_commit"))
            return how

    assert await commits_by() == "on"  # nothing was sent
    source = notifications(database.url, POWER_CHANNEL, POWER_LISTENER)
    async with aclosing(source) as messages:
        assert await anext(messages) is None
        assert await commits_by() == "off"
        async with asyncio.timeout(60):
            assert await anext(messages) == batch()


async def test_the_long_history_has_means_before_the_samples(api: Api, live: LiveHub) -> None:
    for second in range(100):
        live.board.receive(batch(second), time.monotonic())
    live.board.cut(time.monotonic())

    async def frames(*, is_patient: bool = False) -> list[tuple[int, int]]:
        who = await principal(api)
        reader = live.stream(who, POWER, follow=False, is_patient=is_patient)
        events = [event async for piece in reader for event in parsed(piece)]
        return [(data["t0"], data["dt_ms"]) for _, name, data in events if name == "power"]

    short = await frames()
    assert short == [(T0 + 1000 * second, 100) for second in range(39, 100)]
    whole = await frames(is_patient=True)
    assert whole == [(T0 + 5000 * n, 5000) for n in range(7)] + short


async def test_readers_are_notified_when_the_database_is_unreachable(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = committed_api
    live = LiveHub(api.database, EventHub(api.database))
    reader = live.stream(await principal(api), POWER)
    await some(reader, 1)
    is_away = True

    async def source(*_: Any) -> AsyncIterator[str | None]:
        if is_away:
            raise OperationalError("the database is away")
        yield None
        await asyncio.Event().wait()

    monkeypatch.setattr(live_hub, "notifications", source)
    monkeypatch.setattr(live_hub, "RECONNECT_S", 0.01)
    listening = asyncio.create_task(live.listen())
    try:
        async with asyncio.timeout(60):
            while live._is_reachable:
                await asyncio.sleep(0.01)
            await live.tick()
            [(_, name, data)] = await some(reader, 1)
            assert (name, data) == ("database", {"reachable": False})
            late = live.stream(await principal(api), POWER, follow=False)
            assert names([e async for text in late for e in parsed(text)])[0] == "database"
            is_away = False
            while not live._is_reachable:
                await asyncio.sleep(0.01)
            await live.tick()
            [(_, name, data)] = await some(reader, 1)
    finally:
        listening.cancel()
        await asyncio.wait([listening])
    assert (name, data) == ("database", {"reachable": True})


async def test_a_quiet_reader_gets_a_comment_and_a_closing_hub_ends_all(
    api: Api, live: LiveHub
) -> None:
    reader = live.stream(await principal(api), POWER)
    await some(reader, 1)
    for _ in range(live_hub.BEAT_TICKS):
        await live.tick()
    assert await anext(reader) == live_hub.BEAT
    live.close()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    assert live.readers == set()


async def test_the_stream_ends_with_its_connection(api: Api, live: LiveHub) -> None:
    """Without interrupting a read: the reader is only waiting."""
    messages: list[Any] = []
    gone = asyncio.Event()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    response = LiveResponse(live.stream(await principal(api), POWER))
    serving = asyncio.create_task(response({"type": "http"}, receive, send))
    async with asyncio.timeout(60):
        while len(messages) < 2:
            await asyncio.sleep(0.01)
        assert len(live.readers) == 1
        gone.set()
        await serving  # ends without an error
    assert live.readers == set()
    assert messages[0]["status"] == 200
    assert b'"whole":true' in messages[1]["body"]
