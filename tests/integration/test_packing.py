from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from app.cli import commands
from app.db import Database, Session, libpq_url
from app.housekeeping import check_blocks
from app.repositories.readings import blocks as reading_blocks
from app.repositories.readings import readings
from app.services import execution
from app.services.alarms import Alarms
from app.services.attempts import block_checks, packing
from app.settings import get_settings
from models import Attempt, ReadingBlock
from models.packed.steps import WIDEST_STEPS
from pricetag.accounting.readings.reading import Reading
from tests.support.api import Api, finished_run, problem
from tests.support.executions import BEGIN, JournalMaker, claimed, make_run
from tests.support.packed import GPU, ZONE, pack_all, row_count, trace, traced, unpack
from tests.support.revisions import downgrade


async def ended(database: Database, seed: int, count: int) -> UUID:
    """An ended attempt whose readings are rows, as those of earlier versions are."""
    async with database.session_scope() as session:
        attempt_id = await traced(session, seed, count)
        await session.execute(
            update(Attempt).where(Attempt.id == attempt_id).values(ended_at=BEGIN)
        )
    return attempt_id


async def all_readings(session: Session, attempt_id: UUID) -> list[list[Reading]]:
    return [(await readings.columns(session, attempt_id, name)).readings() for name in (GPU, ZONE)]


async def blocks(session: Session, attempt_id: UUID | None = None) -> Sequence[ReadingBlock]:
    query = select(ReadingBlock).order_by(ReadingBlock.component, ReadingBlock.first_seq)
    if attempt_id is not None:
        query = query.where(ReadingBlock.attempt_id == attempt_id)
    return (await session.execute(query)).scalars().all()


async def wrong(database: Database, limit: int = 100) -> list[str]:
    """What the check of all blocks finds."""
    lines: list[str] = []
    start: block_checks.Start | None = block_checks.START
    while start is not None:
        async with database.session_scope() as session:
            checked = await block_checks.check_some(session, start, limit)
        lines += checked.wrong
        start = checked.next
    return lines


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
    """The last block is written anew: later readings may change its last steps."""
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
    got = (await readings.columns(session, attempt_id, "gpu:GPU-1")).readings()
    assert got == [Reading.from_record({**row, "component": ""}) for row in rows]
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
        got = (await readings.columns(session, attempt_id, "gpu:GPU-1")).readings()
        assert got == [Reading.from_record({**row, "component": ""}) for row in rows]
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


DAMAGES = {
    "content": ("content = set_byte(content, 40, 255 - get_byte(content, 40))", "are damaged"),
    "hash": ("sha256 = set_byte(sha256, 0, 255 - get_byte(sha256, 0))", "packed with SHA-256"),
    "level": ("level_64 = set_byte(level_64, 9, 255 - get_byte(level_64, 9))", "level_64 does not"),
    "steps": ("steps = steps + 1", "steps does not follow"),
    "time": ("last_t_s = last_t_s + 1", "last_t_s does not follow"),
    "number": ("first_seq = first_seq + 30", "its first reading is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_check_reports_damaged_blocks(db: Database, damage: str) -> None:
    await ended(db, 1, 200)
    await pack_all(db)
    assert await wrong(db) == []
    change, message = DAMAGES[damage]
    async with db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {change} WHERE component = '{GPU}'"))
    (line,) = await wrong(db)
    assert GPU in line
    assert message in line


async def test_the_check_finds_missing_and_doubled_readings(db: Database) -> None:
    attempt_id = await ended(db, 1, 3 * WIDEST_STEPS)
    await pack_all(db)
    async with db.session_scope() as session:
        second = [block for block in await blocks(session) if block.component == GPU][1]
        await session.delete(second)
        row = {**trace(1, 1)[0], "component": ZONE, "seq": 3}
        await readings.add_readings(session, attempt_id, [row])
    lines = await wrong(db)
    assert any(f"readings of {GPU} are missing between" in line for line in lines)
    assert any(ZONE in line and "are rows, too" in line for line in lines)


async def test_the_check_finds_a_missing_beginning(db: Database) -> None:
    await ended(db, 1, 2 * WIDEST_STEPS)
    await pack_all(db)
    async with db.session_scope() as session:
        first = next(block for block in await blocks(session) if block.component == GPU)
        await session.delete(first)
    (line,) = await wrong(db)
    assert GPU in line
    assert "readings before it are missing" in line


async def test_the_server_reports_a_damaged_block(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(db, 1, 20)
    await pack_all(db)
    alarms = Alarms()
    monkeypatch.setattr("app.housekeeping.uuid.uuid4", lambda: UUID(int=0))
    await check_blocks(db, alarms)
    assert alarms.messages == []
    async with db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {DAMAGES['hash'][0]}"))
    await check_blocks(db, alarms)
    assert "packed with SHA-256" in alarms.messages[0]


async def test_one_damaged_block_does_not_keep_others_from_being_packed(db: Database) -> None:
    damaged, sound = await ended(db, 1, 20), await ended(db, 2, 20)
    await pack_all(db)
    async with db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {DAMAGES['hash'][0]}"))
        await unpack_quietly(session, sound)
        late = [{**row, "component": GPU, "seq": 1000} for row in trace(1, 1)]
        await readings.add_readings(session, damaged, late)
    assert await pack_all(db) == 20
    async with db.session_scope() as session:
        assert await row_count(session) == 1


async def unpack_quietly(session: Session, attempt_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM reading_blocks WHERE attempt_id = :id"), {"id": attempt_id}
    )
    rows = [{**row, "component": GPU} for row in trace(2, 20)]
    await readings.add_readings(session, attempt_id, rows)


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


async def test_verification_says_which_readings_are_damaged(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
        change = DAMAGES["content"][0]
        await session.execute(text(f"UPDATE reading_blocks SET {change} WHERE component = 'cpu'"))
        (block,) = [block for block in await blocks(session) if block.component == "cpu"]
    url = f"/v1/runs/{run_id}/price-tag/verification"
    found: dict[str, Any] = (await api.viewer.get(url)).json()
    step = found["steps"][1]
    assert (found["outcome"], step["status"]) == ("differs", "differs")
    numbers = f"{block.first_seq} to {block.last_seq}"
    assert f"attempt 1: readings {numbers} of cpu are damaged" in step["detail"]
    response = await api.viewer.get(f"/v1/runs/{run_id}/power")
    assert f"readings {numbers} of cpu" in problem(response, 500, "readings-damaged")["detail"]


def run_command(*words: str) -> Any:
    return CliRunner().invoke(commands, ["readings", *words])


async def test_the_commands_pack_and_check(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATABASE_URL", committed_db.url)
    monkeypatch.setattr("app.cli.upkeep.SHOWN_EVERY_S", -1.0)
    get_settings.cache_clear()
    await ended(committed_db, 1, 20)
    packed = await asyncio.to_thread(run_command, "pack")
    assert packed.exit_code == 0, packed.output
    assert packed.output.endswith("%  40 readings packed\n40 readings packed.\n")
    packed = await asyncio.to_thread(run_command, "pack", "--json")
    assert json.loads(packed.output) == {"packed": 0, "busy": 0}
    checked = await asyncio.to_thread(run_command, "check")
    assert (checked.exit_code, checked.output) == (
        0,
        "2 blocks checked, 0 wrong\nAll 2 blocks are right.\n",
    )
    async with committed_db.session_scope() as session:
        await session.execute(text(f"UPDATE reading_blocks SET {DAMAGES['hash'][0]}"))
    checked = await asyncio.to_thread(run_command, "check")
    assert checked.exit_code == 1
    assert "packed with SHA-256" in checked.output
    assert checked.output.endswith("2 of 2 blocks are damaged.\n")
    checked = await asyncio.to_thread(run_command, "check", "--json")
    assert (checked.exit_code, len(json.loads(checked.output)["wrong"])) == (1, 2)


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
