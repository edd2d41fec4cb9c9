from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from app.db import Database, Session, libpq_url
from app.repositories.readings import blocks as reading_blocks
from app.repositories.readings import readings
from app.services.attempts import execution, packing
from models import Attempt
from models.packed.steps import WIDEST_STEPS
from pricetag.accounting.readings.reading import Reading
from tests.support.api import Api, finished_run
from tests.support.executions import BEGIN, JournalMaker, claimed, make_run
from tests.support.packed import GPU, ZONE, pack_all, row_count, trace, traced, unpack
from tests.support.packed_attempts import blocks, ended, wrong
from tests.support.revisions import downgrade


async def all_readings(session: Session, attempt_id: UUID) -> list[list[Reading]]:
    return [(await readings.columns(session, attempt_id, name)).readings() for name in (GPU, ZONE)]


@pytest.mark.parametrize("count", [1, 2, 9, 700, WIDEST_STEPS + 1, 9000])
async def test_packed_readings_are_unchanged(db: Database, count: int) -> None:
    attempt_id = await ended(db, 1, count)
    async with db.session_scope() as session:
        before = await all_readings(session, attempt_id)
        last_s = await readings.last_reading_s(session, attempt_id)
    assert await pack_all(db) == 2 * count
    async with db.session_scope() as session:
        assert await row_count(session) == 0
        assert await all_readings(session, attempt_id) == before
        assert await readings.last_reading_s(session, attempt_id) == last_s
        assert len(await blocks(session)) >= 2 * max(count // WIDEST_STEPS, 1)
    assert await wrong(db) == []
    assert await pack_all(db) == 0


async def test_a_running_attempt_keeps_its_newest_readings_as_rows(db: Database) -> None:
    async with db.session_scope() as session:
        attempt_id = await traced(session, 3, WIDEST_STEPS + 500)
        before = await all_readings(session, attempt_id)
    assert await pack_all(db) > WIDEST_STEPS
    async with db.session_scope() as session:
        assert 0 < await row_count(session) < 2 * WIDEST_STEPS
        assert all(block.is_settled for block in await blocks(session))
        assert await all_readings(session, attempt_id) == before
        # Its end makes short blocks of the rest.
        await session.execute(update(Attempt).values(ended_at=BEGIN))
    await pack_all(db)
    async with db.session_scope() as session:
        assert await row_count(session) == 0
        assert await all_readings(session, attempt_id) == before
    assert await wrong(db, limit=1) == []


async def test_few_readings_of_a_running_attempt_are_not_packed(db: Database) -> None:
    async with db.session_scope() as session:
        await traced(session, 3, WIDEST_STEPS)
    assert await pack_all(db) == 0


async def test_an_attempt_is_packed_when_it_ends(session: Session) -> None:
    await finished_run(session)
    assert await row_count(session) == 0
    assert {block.component for block in await blocks(session)} == {"gpu:GPU-1", "cpu"}


async def test_a_long_attempt_is_packed_by_the_server(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "AT_SETTLEMENT", 10)
    async with db.session_scope() as session:
        await finished_run(session)
        rows = await row_count(session)
        assert rows > 10
    assert await pack_all(db) == rows


async def test_an_attempt_ends_even_if_packing_fails(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        await session.execute(text("SELECT 1 / 0"))

    monkeypatch.setattr(reading_blocks, "write", broken)
    run_id = await finished_run(session)
    assert await row_count(session) > 0
    assert "could not be packed" in caplog.text
    status = await session.execute(text("SELECT status FROM runs WHERE id = :id"), {"id": run_id})
    assert status.scalar_one() == "succeeded"


async def test_a_late_journal_is_added_to_a_packed_attempt(session: Session) -> None:
    """The last block is written again: later readings may change its last steps."""
    run = await make_run(session, max_attempts=1)
    attempt_id = (await claimed(session, run.id)).attempt_id
    journal = JournalMaker(attempt_id)
    journal.start()
    rows = trace(5, 300)
    for row in rows:
        journal.add("reading", component="gpu:GPU-1", **{**row, "seq": len(journal.records)})
    journal.add("end", rows[-1]["t_s"], status="succeeded", reason=None)
    await execution.ingest(session, attempt_id, journal.records[:200])
    await execution.close_lost(session, attempt_id)
    assert await row_count(session) == 0
    await execution.ingest(session, attempt_id, journal.records[200:250])
    assert await row_count(session) == 0
    await execution.ingest(session, attempt_id, journal.records[250:])
    assert await row_count(session) == 0
    stored = (await readings.columns(session, attempt_id, "gpu:GPU-1")).readings()
    assert stored == [Reading.from_record({**row, "component": ""}) for row in rows]
    written = await blocks(session)
    assert sum(block.steps for block in written) == len(rows) - 1
    assert all(block.is_settled for block in written[:-1])
    attempt = await session.get_one(Attempt, attempt_id)
    assert attempt.status == "succeeded"


async def test_killed_packing_loses_nothing_and_continues(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt_ids = [await ended(committed_db, seed, 60) for seed in range(6)]
    async with committed_db.session_scope() as session:
        before = [await all_readings(session, attempt_id) for attempt_id in attempt_ids]
    monkeypatch.setattr(packing, "ATTEMPTS_AT_ONCE", 2)
    write, writes = reading_blocks.write, 0

    async def killed(session: Session, packed: Sequence[reading_blocks.Packed]) -> None:
        nonlocal writes
        writes += 1
        await write(session, packed)
        if writes == 2:  # both the blocks and the rows are written, and not committed
            pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            with psycopg.connect(libpq_url(committed_db.url), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [pid])

    monkeypatch.setattr(reading_blocks, "write", killed)
    with pytest.raises(OperationalError):
        await pack_all(committed_db)
    async with committed_db.session_scope() as session:
        assert await row_count(session) == 4 * 120
        assert [await all_readings(session, id_) for id_ in attempt_ids] == before
    assert await pack_all(committed_db) == 4 * 120
    async with committed_db.session_scope() as session:
        assert await row_count(session) == 0
        assert [await all_readings(session, id_) for id_ in attempt_ids] == before
    assert await wrong(committed_db) == []


async def test_two_servers_pack_every_reading_once(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "ATTEMPTS_AT_ONCE", 3)
    attempt_ids = [await ended(committed_db, seed, 50) for seed in range(20)]
    async with committed_db.session_scope() as session:
        running = await traced(session, 40, WIDEST_STEPS + 300)
        every = [*attempt_ids, running]
        before = [await all_readings(session, attempt_id) for attempt_id in every]
        rows = await row_count(session)
    other = Database(committed_db.url)
    try:
        packed = await asyncio.gather(*(pack_all(each) for each in (committed_db, other) * 2))
    finally:
        await other.dispose()
    async with committed_db.session_scope() as session:
        left = await row_count(session)
        assert sum(packed) == rows - left
        assert 0 < left < 2 * WIDEST_STEPS
        assert [await all_readings(session, id_) for id_ in every] == before
    assert await wrong(committed_db) == []


async def test_a_journal_that_arrives_while_it_is_packed_is_whole(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of a running attempt, its end and late records, beside two servers that pack."""
    monkeypatch.setattr(packing, "WIDEST_STEPS", 50)
    monkeypatch.setattr("models.packed.steps.WIDEST_STEPS", 50)
    async with committed_db.session_scope() as session:
        run = await make_run(session, max_attempts=1)
        attempt_id = (await claimed(session, run.id)).attempt_id
    journal = JournalMaker(attempt_id)
    journal.start()
    rows = trace(7, 600)
    for row in rows:
        journal.add("reading", component="gpu:GPU-1", **{**row, "seq": len(journal.records)})
    done = asyncio.Event()

    async def pack() -> int:
        packed = 0
        while not done.is_set():
            packed += await pack_all(committed_db)
        return packed

    async def ingest() -> None:
        for first in range(0, len(journal.records), 30):
            async with committed_db.session_scope() as session:
                await execution.ingest(session, attempt_id, journal.records[first : first + 30])
            if first == 300:
                async with committed_db.session_scope() as session:
                    await execution.close_lost(session, attempt_id)
        done.set()

    first, second, _ = await asyncio.gather(pack(), pack(), ingest())
    assert first + second > 100
    async with committed_db.session_scope() as session:
        stored = (await readings.columns(session, attempt_id, "gpu:GPU-1")).readings()
        assert stored == [Reading.from_record({**row, "component": ""}) for row in rows]
        assert await row_count(session) == 0
    assert await wrong(committed_db) == []


async def test_readers_see_each_reading_once_while_it_is_packed(committed_db: Database) -> None:
    attempt_id = await ended(committed_db, 2, 500)
    async with committed_db.session_scope() as session:
        before = await all_readings(session, attempt_id)
    stop = asyncio.Event()

    async def read() -> int:
        times = 0
        while not stop.is_set() or times < 3:
            async with committed_db.session_scope() as session:
                assert await all_readings(session, attempt_id) == before
            times += 1
        return times

    async def pack_and_unpack() -> None:
        for _ in range(5):
            await pack_all(committed_db)
            async with committed_db.session_scope() as session:
                await unpack(session, attempt_id)
        stop.set()

    times, _ = await asyncio.gather(read(), pack_and_unpack())
    assert times >= 3


async def test_rows_of_a_large_attempt_are_packed_in_pieces(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", WIDEST_STEPS + 2000)
    ids = sorted([await ended(db, 6, WIDEST_STEPS + 1500), await ended(db, 8, 300)])
    async with db.session_scope() as session:
        before = [await all_readings(session, attempt_id) for attempt_id in ids]
    assert await pack_all(db) == 2 * (WIDEST_STEPS + 1800)
    async with db.session_scope() as session:
        assert await row_count(session) == 0
        assert [await all_readings(session, attempt_id) for attempt_id in ids] == before
    assert await wrong(db) == []


async def test_verification_and_charts_read_packed_readings(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        (attempt_id,) = (await session.execute(select(Attempt.id))).scalars()
        assert await row_count(session) == 0
    paths = ("price-tag/verification", "power")
    packed = [(await api.viewer.get(f"/v1/runs/{run_id}/{path}")).json() for path in paths]
    assert packed[0]["outcome"] == "verified"
    async with api.database.session_scope() as session:
        await unpack(session, attempt_id)
    rows = [(await api.viewer.get(f"/v1/runs/{run_id}/{path}")).json() for path in paths]
    assert packed == rows


async def test_a_downgrade_restores_all_readings_as_rows(fresh_database_url: str) -> None:
    from app import migrate

    migrate.upgrade(fresh_database_url)
    database = Database(fresh_database_url)
    attempt_id = await ended(database, 1, WIDEST_STEPS + 400)
    async with database.session_scope() as session:
        before = (await session.execute(text("SELECT * FROM readings ORDER BY 1, 2, 3"))).all()
    await pack_all(database)
    await database.dispose()
    await asyncio.to_thread(downgrade, fresh_database_url, "0013")
    async with database.session_scope() as session:
        assert (
            await session.execute(text("SELECT * FROM readings ORDER BY 1, 2, 3"))
        ).all() == before
    await database.dispose()
    assert attempt_id == before[0].attempt_id
