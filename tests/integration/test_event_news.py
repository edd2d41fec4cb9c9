"""Readers of event streams that wake up together share one read."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db import Session
from app.schemas.series import EventRead
from app.services.live import event_news, events
from app.services.live.event_news import Gathered, News
from app.services.principals import Principal
from models import Run
from tests.integration.test_api_events import Reader, progress
from tests.integration.test_request_cost import counted, touching
from tests.support.api import Api, a_principal, finished_run, running_run
from tests.support.patience import PATIENCE_S, until


async def followers(
    api: Api, hub: events.EventHub, runs: int, each: int
) -> tuple[list[UUID], list[Reader]]:
    async with api.database.session_scope() as session:
        run_ids = [await running_run(session, 2) for _ in range(runs)]
        principal: Principal = await a_principal(session)
    readers = [
        Reader(events.stream(api.database, hub, principal, run_id, 0))
        for run_id in run_ids
        for _ in range(each)
    ]
    await asyncio.gather(*(reader.until(2) for reader in readers))
    return run_ids, readers


async def test_a_change_is_read_once_for_all_streams(committed_api: Api) -> None:
    """Events of one run, and of several runs that change at the same time."""
    api = committed_api
    hub = events.EventHub(api.database)
    listener = asyncio.create_task(hub.listen())
    run_ids, readers = await followers(api, hub, runs=4, each=10)
    try:
        async with asyncio.timeout(60):
            await hub.listening.wait()
        await asyncio.sleep(0.5)
        begun = [len(reader.read) for reader in readers]
        with counted(api.database) as counts:
            await asyncio.gather(*(progress(api, run_id, 1) for run_id in run_ids))
            await asyncio.gather(
                *(reader.until(count + 1) for reader, count in zip(readers, begun, strict=True))
            )
        assert 1 <= len(touching(counts, "run_events")) - len(run_ids) <= len(run_ids)
        assert not touching(counts, "tokens")  # who may follow is asked now and then
        assert all(reader.read[-1].payload["done"] == 1 for reader in readers)
    finally:
        for task in [*(reader.task for reader in readers), listener]:
            task.cancel()


async def test_the_first_read_of_a_stream_waits_for_nobody(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_news, "LONGEST_GATHER_S", 3600.0)
    monkeypatch.setattr(event_news, "PAUSE_RATIO", 1e9)
    api = committed_api
    hub = events.EventHub(api.database)
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        principal = await a_principal(session)
    await hub.news.ask((run_id, 0))  # the next one that is gathered has to wait
    async with asyncio.timeout(60):
        news = [one async for one in events.stream(api.database, hub, principal, run_id, 0)]
    assert news[-1].events[-1].payload["status"] == "succeeded"


async def test_a_request_during_a_read_is_served_by_the_next_read(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_news, "GATHER_S", 0.0)
    state, reads = {"value": 0}, []
    reading = asyncio.Event()

    async def read(session: Session, asked: Collection[str]) -> Mapping[str, int]:
        value = state["value"]
        reads.append(sorted(asked))
        reading.set()
        await asyncio.sleep(0.05)
        return dict.fromkeys(asked, value)

    gathered = Gathered(committed_api.database, read)
    first = asyncio.gather(*(gathered.ask(name) for name in ("a", "b", "a")))
    await reading.wait()
    state["value"] = 1
    later = await asyncio.gather(gathered.ask("a"), gathered.ask("c"))
    assert await first == [0, 0, 0]
    assert list(later) == [1, 1]
    assert reads == [["a", "b"], ["a", "c"]]


async def test_an_error_reaches_all_callers_and_the_next_read_works(committed_api: Api) -> None:
    fails = [True]

    async def read(session: Session, asked: Collection[int]) -> Mapping[int, int]:
        if fails[0]:
            raise ConnectionResetError("gone")
        return {number: 2 * number for number in asked}

    gathered = Gathered(committed_api.database, read)
    results = await asyncio.gather(
        *(gathered.ask(number) for number in (1, 2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ConnectionResetError] * 2
    fails[0] = False
    left = asyncio.create_task(gathered.ask(3))
    other = asyncio.create_task(gathered.ask(3))
    await asyncio.sleep(0)
    left.cancel()  # one reader leaves; the other gets its news
    assert await other == 6


@pytest.mark.parametrize("resumed", [False, True])
async def test_news_of_many_runs_are_as_few_statements_as_of_one(
    committed_api: Api, resumed: bool
) -> None:
    """With the projection of each, whether it has a quote and earlier attempts or not."""
    api = committed_api
    async with api.database.session_scope() as session:
        run_ids = [await running_run(session, 2) for _ in range(5)]
        await session.execute(
            update(Run).values(progress={"attempt": 2 if resumed else 1, "t_s": 1.0, "done": 1.0})
        )
    for run_id in run_ids:
        await progress(api, run_id, 1)
    statements = []
    for asked in (run_ids[:1], run_ids):
        with counted(api.database) as counts:
            async with api.database.session_scope() as session:
                news_by_run = await event_news.read_news(session, [(run_id, 0) for run_id in asked])
        assert all("projection" in news.events[-1].payload for news in news_by_run.values())
        statements.append(len(counts.statements))
    assert statements[0] == statements[1] <= 5


async def test_slow_reads_are_followed_by_long_pauses(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask: reading takes a twentieth of the time, and nobody waits forever."""
    monkeypatch.setattr(event_news, "GATHER_S", 0.0)
    monkeypatch.setattr(event_news, "LONGEST_GATHER_S", 0.3)
    clock = asyncio.get_running_loop().time
    begun: list[float] = []
    length_s = 0.01

    async def read(session: Session, asked: Collection[int]) -> Mapping[int, int]:
        begun.append(clock())
        await asyncio.sleep(length_s)
        return {number: number for number in asked}

    gathered = Gathered(committed_api.database, read)
    for number in range(4):
        assert await gathered.ask(number) == number
    pauses = [after - before for before, after in pairwise(begun)]
    assert min(pauses) >= 0.2
    length_s = 10.0
    first = asyncio.create_task(gathered.ask(5))
    await until(lambda: len(begun) == 5)  # 20 times 10 ms are over
    first.cancel()


async def test_a_hurried_request_ends_the_pause_for_all_who_wait(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_news, "GATHER_S", 1e9)
    reads: list[set[str]] = []

    async def read(_: Session, asked: Collection[str]) -> dict[str, str]:
        reads.append(set(asked))
        return dict.fromkeys(asked, "read")

    gathered = Gathered(committed_api.database, read)
    patient = asyncio.create_task(gathered.ask("one"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert reads == []
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(gathered.ask("another", hurry=True) for _ in range(3)))
        assert await patient == "read"
    assert reads == [{"one", "another"}]


def test_news_are_encoded_once_for_all_their_readers() -> None:
    calls: list[int] = []

    def encode(read: Sequence[EventRead]) -> bytes:
        calls.append(len(read))
        return b"data"

    news = News("running")
    assert [news.encoded(encode) for _ in range(3)] == [b"data"] * 3
    assert calls == [0]


async def test_a_reader_that_leaves_does_not_interrupt_its_first_read(api: Api) -> None:
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def read(session: Session, asked: Collection[str]) -> Mapping[str, str]:
        begun.set()
        await go_on.wait()
        ended.set()
        return dict.fromkeys(asked, "read")

    reader = asyncio.create_task(Gathered(api.database, read).at_once("something"))
    async with asyncio.timeout(60):
        await begun.wait()
        reader.cancel()
        await asyncio.wait([reader])
        assert reader.cancelled()
        assert not ended.is_set()
        go_on.set()
        await ended.wait()
