from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from app.db import Database, Session, driver_connection, libpq_url
from app.queue import delivery
from app.queue import entries as queue
from app.services.attempts import execution
from tests.support.executions import claim, make_run
from tests.support.patience import until


async def entries(session: Session) -> list[tuple[Any, ...]]:
    connection = await driver_connection(session)
    query = "SELECT queue_name, status::text, priority FROM procrastinate_jobs ORDER BY id"
    return await (await connection.execute(query)).fetchall()


@contextlib.asynccontextmanager
async def working(
    database: Database, execute: delivery.Execute, **options: Any
) -> AsyncIterator[delivery.QueueWorker]:
    settings = {"queues": ["default/0gpu"], "concurrency": 1, "name": "w", **options}
    worker = delivery.QueueWorker(database.url, execute=execute, **settings)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, 60)
        await worker.drain()


async def post(database: Database, count: int = 1, **values: Any) -> list[UUID]:
    async with database.session_scope() as session:
        return [(await make_run(session, enqueue=True, **values)).id for _ in range(count)]


async def test_run_and_entry_commit_together_or_not_at_all(committed_db: Database) -> None:
    class UndoneError(Exception):
        pass

    async def post_and_fail() -> None:
        async with committed_db.session_scope() as session:
            await make_run(session, enqueue=True, pool="lab", gpus=2)
            assert await entries(session) == [("lab/2gpu", "todo", 0)]
            raise UndoneError

    with pytest.raises(UndoneError):
        await post_and_fail()
    async with committed_db.session_scope() as session:
        assert await entries(session) == []
        await make_run(session, enqueue=True, pool="lab", gpus=2, priority=5)
        async with committed_db.session_scope() as other:
            assert await entries(other) == []
    async with committed_db.session_scope() as session:
        assert await entries(session) == [("lab/2gpu", "todo", 5)]


async def test_a_worker_takes_runs_by_priority_then_age(committed_db: Database) -> None:
    low = await post(committed_db, 2)
    (high,) = await post(committed_db, priority=10)
    (elsewhere,) = await post(committed_db, pool="another")
    executed: list[UUID] = []

    async def execute(run_id: UUID) -> None:
        executed.append(run_id)

    async with working(committed_db, execute):
        await until(lambda: len(executed) == 3)
    assert executed == [high, *low]
    assert elsewhere not in executed
    async with committed_db.session_scope() as session:
        assert [row[0] for row in await entries(session)] == ["another/0gpu"]


async def test_an_idle_worker_is_notified_at_once(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "POLL_S", 60.0)
    arrived: dict[UUID, float] = {}

    async def execute(run_id: UUID) -> None:
        arrived[run_id] = time.monotonic()

    async with working(committed_db, execute):
        posted = 0
        while not arrived:  # one that is posted before the worker listens waits for the next
            await post(committed_db)
            posted += 1
            await asyncio.sleep(0.2)
        await until(lambda: len(arrived) == posted)
        delays_s = []
        for _ in range(5):
            await asyncio.sleep(0.1)
            posted_s = time.monotonic()
            (run_id,) = await post(committed_db)
            await until(lambda wanted=run_id: wanted in arrived, timeout_s=120.0)  # type: ignore[misc]
            delays_s.append(arrived[run_id] - posted_s)
    # Polling alone would take half of POLL_S on average.
    assert sorted(delays_s)[2] < delivery.POLL_S / 2


async def test_concurrency_is_limited_to_runs_that_fit(committed_db: Database) -> None:
    await post(committed_db, 3)
    await post(committed_db, 1, gpus=1)
    free = asyncio.Event()
    fitting: list[str] = ["default/0gpu"]
    executed: list[UUID] = []

    async def execute(run_id: UUID) -> None:
        executed.append(run_id)
        await free.wait()

    queues = ["default/0gpu", "default/1gpu"]
    async with working(
        committed_db, execute, queues=queues, concurrency=2, fits=lambda: fitting
    ) as worker:
        await until(lambda: len(executed) == 2)
        await asyncio.sleep(0.2)
        assert len(worker.executing) == 2
        free.set()
        await until(lambda: len(executed) == 3)
        await until(lambda: not worker.executing)
        fitting.append("default/1gpu")
        worker.wake()
        await until(lambda: len(executed) == 4)


async def test_a_postponed_run_is_delivered_again(committed_db: Database) -> None:
    (run_id,) = await post(committed_db)
    executed: list[UUID] = []

    async def execute(run_id: UUID) -> None:
        executed.append(run_id)
        if len(executed) == 1:
            raise delivery.Postponed(0.1)

    async with working(committed_db, execute):
        await until(lambda: len(executed) == 2)
    assert executed == [run_id, run_id]


async def test_stopping_does_not_wait_for_executing_runs(committed_db: Database) -> None:
    await post(committed_db)
    begun, finish, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def execute(run_id: UUID) -> None:
        begun.set()
        await finish.wait()
        ended.set()

    worker = delivery.QueueWorker(
        committed_db.url, queues=["default/0gpu"], concurrency=1, execute=execute, name="w"
    )
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(begun.wait(), 60)
    worker.stop()
    await asyncio.wait_for(running, 60)
    assert not ended.is_set()
    assert len(worker.executing) == 1
    finish.set()
    await asyncio.wait_for(worker.drain(), 60)
    assert ended.is_set()


async def test_a_worker_outlives_its_connections(committed_db: Database) -> None:
    await post(committed_db)
    begun, finish = asyncio.Event(), asyncio.Event()
    executed: list[UUID] = []

    async def execute(run_id: UUID) -> None:
        executed.append(run_id)
        begun.set()
        await finish.wait()

    worker = delivery.QueueWorker(
        committed_db.url, queues=["default/0gpu"], concurrency=2, execute=execute, name="w"
    )

    async def serve() -> None:
        while not finish.is_set() or worker.executing:
            with contextlib.suppress(Exception):
                await worker.run()
            await asyncio.sleep(0.05)

    serving = asyncio.create_task(serve())
    await asyncio.wait_for(begun.wait(), 60)
    with psycopg.connect(libpq_url(committed_db.url), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'pricetag queue%'"
        )
    (second,) = await post(committed_db)
    await until(lambda: second in executed)
    assert len(executed) == 2  # the first continued and was not delivered again
    finish.set()
    worker.stop()
    await asyncio.wait_for(serving, 60)


async def test_a_run_is_not_taken_before_its_time(committed_db: Database) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.0)
    async with committed_db.session_scope() as session:
        run = await make_run(session, not_before=soon)
        await queue.enqueue(session, run.id, pool="default", gpus=0, kind="train", not_before=soon)
    times: list[datetime] = []

    async def execute(run_id: UUID) -> None:
        times.append(datetime.now(UTC))

    async with working(committed_db, execute):
        await until(lambda: len(times) == 1)
    assert times[0] >= soon


async def test_cancel_deletes_only_waiting_entries_of_the_run(session: Session) -> None:
    run = await make_run(session, enqueue=True)
    await make_run(session, enqueue=True)
    assert await queue.cancel(session, run.id) == 1
    assert await queue.cancel(session, run.id) == 0
    assert len(await entries(session)) == 1


async def test_the_sweep_requeues_runs_without_an_entry(session: Session) -> None:
    lost = await make_run(session, pool="lab", gpus=1, priority=3)
    await make_run(session, enqueue=True)
    await make_run(session, status="running")
    await make_run(session, status="succeeded")
    assert await queue.sweep(session) == [lost.id]
    assert ("lab/1gpu", "todo", 3) in await entries(session)
    assert await queue.sweep(session) == []


async def take_as(session: Session, *, heartbeat_age_s: float) -> None:
    """Takes one entry like a worker whose last heartbeat is this old."""
    connection = await driver_connection(session)
    await connection.execute(
        "WITH worker AS (INSERT INTO procrastinate_workers (last_heartbeat)"
        " VALUES (now() - make_interval(secs => %s)) RETURNING id)"
        " UPDATE procrastinate_jobs SET status = 'doing',"
        " worker_id = (SELECT id FROM worker)",
        [heartbeat_age_s],
    )


async def test_an_entry_fetched_by_a_worker_that_died_is_replaced(session: Session) -> None:
    run = await make_run(session, enqueue=True)
    await take_as(session, heartbeat_age_s=1)
    assert await queue.sweep(session) == []
    assert [row[1] for row in await entries(session)] == ["doing"]
    await take_as(session, heartbeat_age_s=31)
    assert await queue.sweep(session) == [run.id]
    assert [row[1] for row in await entries(session)] == ["todo"]


async def test_the_entry_of_a_claimed_run_is_only_finished(session: Session) -> None:
    run = await make_run(session, enqueue=True)
    await take_as(session, heartbeat_age_s=31)
    assert await claim(session, run.id) is not None
    assert await queue.sweep(session) == []
    assert await entries(session) == []


async def test_one_sweeper_at_a_time(committed_db: Database) -> None:
    async with committed_db.session_scope() as session:
        run = await make_run(session)
    async with committed_db.session_scope() as first, committed_db.session_scope() as second:
        assert await queue.sweep(first) == [run.id]
        assert await queue.sweep(second) == []


async def test_ten_workers_execute_each_of_many_runs_once(committed_db: Database) -> None:
    run_ids = await post(committed_db, 60)
    claimed: list[UUID] = []

    def taker(name: str) -> Callable[[UUID], Awaitable[None]]:
        async def execute(run_id: UUID) -> None:
            async with committed_db.session_scope() as session:
                if await claim(session, run_id, name) is not None:
                    claimed.append(run_id)

        return execute

    async with contextlib.AsyncExitStack() as stack:
        for index in range(10):
            execute = taker(f"w{index}")
            await stack.enter_async_context(working(committed_db, execute, name=f"w{index}"))
        await until(lambda: len(claimed) >= 60, 60)
    assert sorted(claimed) == sorted(run_ids)


def test_queue_names() -> None:
    assert queue.queue_name("lab", 0) == "lab/0gpu"
    assert queue.queue_name("lab", 8) == "lab/8gpu"
    assert queue.queue_name("p" * 35, 0) == "p" * 35 + "/0gpu"
    assert queue.queue_name("lab", 2, programs=True) == "lab+commands/2gpu"


def test_the_names_of_landed_versions_stay() -> None:
    digest = hashlib.sha256(b"p" * 63).hexdigest()[:16]
    assert queue.queue_name("p" * 63, 1024) == f"{'p' * 12}~{digest}/1024gpu"


@pytest.mark.parametrize("gpus", [0, 8, 16, 1024])
@pytest.mark.parametrize("length", [1, 34, 35, 36, 63])
async def test_every_pool_name_that_the_schema_accepts_can_be_queued(
    session: Session, length: int, gpus: int
) -> None:
    pool = "p" * length
    await queue.enqueue(session, uuid4(), pool=pool, gpus=gpus, kind="train")
    await queue.enqueue(session, uuid4(), pool=pool, gpus=gpus, kind="command")
    names = [name for name, *_ in await entries(session)]
    assert names == [queue.queue_name(pool, gpus, programs=programs) for programs in (False, True)]
    others = [queue.queue_name(pool[:-1] + "q", gpus, programs=p) for p in (False, True)]
    assert len({*names, *others}) == 4
    assert max(map(len, names)) <= queue.MAX_QUEUE_CHARS


async def test_programs_wait_for_a_worker_that_allows_them_and_hold_nobody_up(
    committed_db: Database,
) -> None:
    programs = await post(committed_db, 3, kind="command", priority=10)
    trainings = await post(committed_db, 3)
    executed: dict[str, list[UUID]] = {"closed": [], "open": []}

    def taker(name: str) -> delivery.Execute:
        async def execute(run_id: UUID) -> None:
            executed[name].append(run_id)

        return execute

    async with working(committed_db, taker("closed"), name="closed"):
        await until(lambda: len(executed["closed"]) == 3)
        assert executed["closed"] == trainings
        (later,) = await post(committed_db)
        queues = ["default/0gpu", "default+commands/0gpu"]
        async with working(committed_db, taker("open"), name="open", queues=queues):
            await until(lambda: sum(map(len, executed.values())) == 7)
    assert [run_id for run_id in executed["open"] if run_id in programs] == programs
    assert later in [*executed["closed"], *executed["open"]]
    assert not set(executed["closed"]) & set(programs)


async def test_the_sweep_and_a_retry_put_a_program_into_its_own_queue(session: Session) -> None:
    await make_run(session, kind="command", pool="lab", gpus=1)
    await queue.sweep(session)
    again = await make_run(session, kind="command", pool="lab")
    assert await execution.requeue(session, again.id)
    names = [name for name, *_ in await entries(session)]
    assert names == ["lab+commands/1gpu", "lab+commands/0gpu"]


async def test_a_worker_without_a_database_raises() -> None:
    async def execute(run_id: UUID) -> None:
        raise AssertionError("there is nothing to take")

    worker = delivery.QueueWorker(
        f"postgresql://nobody@/none?host=/nowhere/{uuid4()}",
        queues=["default/0gpu"],
        concurrency=1,
        execute=execute,
        name="w",
    )
    with pytest.raises(delivery.QueueAwayError):
        await worker.run()
