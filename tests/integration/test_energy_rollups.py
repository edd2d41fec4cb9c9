"""The account from roll-ups equals the sum over the hours, after any sequence of changes."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.errors import DeadlockDetected
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from app.cli import commands
from app.db import Database, Session, libpq_url
from app.housekeeping import check_rollups
from app.repositories.energy import account as energy_account
from app.repositories.energy import folding as energy_folding
from app.repositories.energy.calendar import after, floor
from app.repositories.energy.rollups import Range
from app.services.alarms import Alarms
from app.services.energy import rollups
from app.services.energy.node_hours import NodeHour, book_node_hours
from app.settings import get_settings
from tests.support.energy import BEGIN, COMPONENTS, HOUR, Lab, assert_equal

MONTHS = (floor(BEGIN, "month"), after(BEGIN, "month"))


def ranges(lab: Lab) -> list[Range]:
    """All of it, parts of days, whole months, one node."""
    end = lab.now.replace(minute=0, second=0, microsecond=0) + HOUR
    all_hours = max(int((end - BEGIN) / HOUR), 1)
    first = lab.draw.randrange(all_hours)
    some = Range(BEGIN + first * HOUR, end + 5 * HOUR, now=lab.now)
    return [
        Range(BEGIN, end, now=lab.now),
        Range(floor(BEGIN, "month"), end, "a", lab.now),
        Range(floor(BEGIN, "month"), after(end, "month"), now=lab.now),
        some,
        Range(BEGIN, max(BEGIN + first * HOUR, BEGIN + HOUR), now=lab.now),
    ]


async def count(session: Session, table: str) -> int:
    rows: int = (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
    return rows


@settings(max_examples=6)
@given(seed=st.integers(0, 2**32))
async def test_sums_equal_the_hours_after_any_history(db: Database, seed: int) -> None:
    lab = Lab(random.Random(seed))
    async with db.sessions() as session:
        await lab.open(session)
        for _ in range(6):
            for _ in range(15):
                await lab.step(session)
                lab.pass_time()
            await assert_equal(session, lab.draw.choice(ranges(lab)))
            for _ in range(lab.draw.randrange(4)):
                limit = lab.draw.choice([1, 5, 1000])
                await rollups.fold_pending(session, limit=limit, now=lab.now)
            await assert_equal(session, lab.draw.choice(ranges(lab)))
        lab.now += timedelta(days=1)
        while await rollups.fold_pending(session, now=lab.now):
            pass
        assert await count(session, "energy_rollup_hours") > 0
        await assert_equal(session, *ranges(lab))
        await session.rollback()


NOW = BEGIN + 33 * HOUR
ALL = Range(BEGIN, BEGIN + 40 * HOUR, now=NOW)
ONE = Range(BEGIN + 2 * HOUR, BEGIN + 31 * HOUR, "a", NOW)


async def write(database: Database, lab: Lab, seconds: float) -> None:
    """Random changes, some of which are taken back, and some that take their time."""
    clock = asyncio.get_running_loop().time
    end_s = clock() + seconds
    while clock() < end_s:
        before = dict(lab.attempts)
        async with database.sessions() as session:
            try:
                for _ in range(lab.draw.randint(1, 3)):
                    await lab.step(session)
                    await asyncio.sleep(lab.draw.choice([0, 0, 0.01, 0.05]))
                keep = lab.draw.random() >= 0.15
            except OperationalError as error:  # two writers took the same hours in turns
                if not isinstance(error.orig, DeadlockDetected):
                    raise
                keep = False
            if keep:
                await session.commit()
            else:
                await session.rollback()
                lab.attempts = before


async def fold(database: Database, draw: random.Random, written: asyncio.Event) -> None:
    """Folding, a few hours at a time, with pauses where a change could slip in."""
    while not written.is_set():
        async with database.sessions() as session:
            assert await energy_folding.try_lock(session)
            marks = await energy_folding.take_pending(session, draw.randint(1, 30), now=NOW)
            await asyncio.sleep(draw.choice([0, 0.01, 0.05]))
            await energy_folding.fold(session, marks, NOW)
            await asyncio.sleep(draw.choice([0, 0.01, 0.05]))
            await (session.rollback() if draw.random() < 0.2 else session.commit())


async def read(database: Database, written: asyncio.Event) -> int:
    """Compares both ways on one snapshot, again and again."""
    rounds = 0
    while not written.is_set() or rounds <= 3:  # a busy machine has few rounds
        async with database.sessions() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            await assert_equal(session, (ALL, ONE)[rounds % 2])
        rounds += 1
        await asyncio.sleep(0)
    return rounds


@pytest.mark.parametrize("seed", [1, 2])
async def test_sums_equal_the_hours_at_every_moment_during_writes(
    committed_db: Database, seed: int
) -> None:
    first = Lab(random.Random(seed), now=BEGIN + 30 * HOUR, weights={"correct": 0, "move": 0})
    async with committed_db.session_scope() as session:
        await first.open(session)
    labs = [first, *(replace(first, draw=random.Random(seed + n), attempts={}) for n in (10, 20))]
    written = asyncio.Event()
    others = asyncio.gather(
        fold(committed_db, random.Random(seed), written), read(committed_db, written)
    )
    try:
        await asyncio.gather(*(write(committed_db, lab, 4.0) for lab in labs))
    finally:
        written.set()
        _, rounds = await others
    assert rounds > 3
    async with committed_db.session_scope() as session:
        while await rollups.fold_pending(session, now=NOW):
            pass
        assert (await energy_folding.waiting(session, NOW)).number == 0
        assert await count(session, "energy_rollup_hours") > 50
        await assert_equal(session, ALL, ONE)
    for start in MONTHS:
        assert await rollups.wrong_sums(committed_db, rollups.Month(start)) == []


async def book(session: Session, energy_j: float, hour: int = 0) -> None:
    kind, name, method, gain = COMPONENTS["cpu"]
    begin = BEGIN + hour * HOUR
    row = NodeHour("cpu", name, kind, method, gain, begin, energy_j, 3600.0)
    await book_node_hours(session, "a", [row])


async def total_j(database: Database) -> float:
    async with database.session_scope() as session:
        await assert_equal(session, ALL)
        *_, total = await energy_account.sums(session, "node", ALL)
        return float(total.total_j)


async def pending(database: Database) -> int:
    async with database.session_scope() as session:
        return (await energy_folding.waiting(session, NOW)).number


async def fold_all(database: Database) -> None:
    async with database.session_scope() as session:
        await rollups.fold_pending(session, now=NOW)


async def test_a_change_that_commits_while_its_hour_is_folded_stays_pending(
    committed_db: Database,
) -> None:
    async with committed_db.session_scope() as session:
        await book(session, 1.0)
    async with committed_db.sessions() as folding, committed_db.sessions() as writing:
        assert await energy_folding.try_lock(folding)
        marks = await energy_folding.take_pending(folding, 10, now=NOW)
        assert len(marks) == 1
        await book(writing, 2.0)  # the mark is being folded: this adds another
        await energy_folding.fold(folding, marks, NOW)  # judges without the change
        await writing.commit()
        await folding.commit()
    assert (await pending(committed_db), await total_j(committed_db)) == (1, 2.0)
    await fold_all(committed_db)
    assert (await pending(committed_db), await total_j(committed_db)) == (0, 2.0)


async def test_an_uncommitted_change_keeps_its_mark(committed_db: Database) -> None:
    async with committed_db.session_scope() as session:
        await book(session, 1.0)
        await book(session, 1.0, hour=1)
    async with committed_db.sessions() as writing:
        await book(writing, 2.0)
        await fold_all(committed_db)  # the other hour alone
        assert (await pending(committed_db), await total_j(committed_db)) == (1, 2.0)
        await writing.commit()
    assert await total_j(committed_db) == 3.0
    await fold_all(committed_db)
    assert (await pending(committed_db), await total_j(committed_db)) == (0, 3.0)


async def test_folding_that_is_cut_off_changes_nothing(committed_db: Database) -> None:
    async with committed_db.session_scope() as session:
        await book(session, 1.0)
    async with committed_db.sessions() as folding:
        marks = await energy_folding.take_pending(folding, 10, now=NOW)
        await energy_folding.fold(folding, marks, NOW)
        await folding.rollback()
    assert (await pending(committed_db), await total_j(committed_db)) == (1, 1.0)
    await fold_all(committed_db)
    assert (await pending(committed_db), await total_j(committed_db)) == (0, 1.0)


async def test_one_process_folds_and_nobody_waits(committed_db: Database) -> None:
    async with committed_db.session_scope() as session:
        await book(session, 1.0)
    async with committed_db.sessions() as folding, committed_db.session_scope() as other:
        assert await rollups.fold_pending(folding, now=NOW) == 1
        assert await rollups.fold_pending(other, now=NOW) is None
        await book(other, 2.0)
    assert await total_j(committed_db) == 2.0


WRONG = {
    "hour": "UPDATE energy_rollup_hours SET charged_j = charged_j + 1 WHERE series_id IN"
    " (SELECT id FROM energy_series WHERE scope = 'component')",
    "lab": "DELETE FROM energy_rollup_hours WHERE series_id IN"
    " (SELECT id FROM energy_series WHERE scope = 'lab')",
    "day": "UPDATE energy_rollup_days SET hours = hours + 1",
    "month": "DELETE FROM energy_rollup_months",
    "unmarked": "DELETE FROM energy_rollup_hours; DELETE FROM energy_rollup_days",
}


@pytest.mark.parametrize("damage", WRONG.values(), ids=WRONG)
async def test_differences_are_reported_and_rebuilt(committed_db: Database, damage: str) -> None:
    async with committed_db.session_scope() as session:
        await book(session, 1.5)
        await book(session, 0.1, hour=30)
    await fold_all(committed_db)
    months = [rollups.Month(start) for start in MONTHS]
    assert [await rollups.wrong_sums(committed_db, month) for month in months] == [[], []]
    async with committed_db.session_scope() as session:
        for statement in damage.split(";"):
            await session.execute(text(statement))
    wrong = [line for month in months for line in await rollups.wrong_sums(committed_db, month)]
    assert wrong
    alarms = Alarms()
    for _ in range(20):  # of a month drawn at random
        await check_rollups(committed_db, alarms)
    assert "pricetag rollups rebuild" in alarms.messages[0]
    for month in months:
        await rollups.rebuild(committed_db, month)
    assert [await rollups.wrong_sums(committed_db, month) for month in months] == [[], []]
    assert await total_j(committed_db) == 1.6


def test_the_commands_check_and_rebuild(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATABASE_URL", committed_db.url)
    get_settings.cache_clear()
    runner = CliRunner()
    with psycopg.connect(libpq_url(committed_db.url)) as direct:
        direct.execute(
            "INSERT INTO energy_hours (id, node_name, component, name, kind, method,"
            " gain_std_ratio, hour, energy_j, covered_s, flags) VALUES (gen_random_uuid(), 'a',"
            " 'cpu', 'AMD EPYC', 'cpu', 'modelled', 0.45, %s, 1.5, 3600, '[]')",
            [BEGIN],
        )
    rebuilt = runner.invoke(commands, ["rollups", "rebuild"])
    assert rebuilt.exit_code == 0, rebuilt.output
    assert rebuilt.output.startswith(f"1/1  {BEGIN:%Y-%m}: correct\n")
    with psycopg.connect(libpq_url(committed_db.url)) as direct:
        direct.execute("UPDATE energy_rollup_days SET hours = hours + 1")
    checked = runner.invoke(commands, ["rollups", "check", "--json"])
    assert (checked.exit_code, json.loads(checked.output)) == (1, {"wrong": {f"{BEGIN:%Y-%m}": 4}})
    checked = runner.invoke(commands, ["rollups", "check"])
    assert checked.exit_code == 1
    assert "4 sums differ from their hours: run `pricetag rollups rebuild`." in checked.output
    rebuilt = runner.invoke(commands, ["rollups", "rebuild"])
    assert "Rebuilt. 4 sums differed from their hours." in rebuilt.output
    checked = runner.invoke(commands, ["rollups", "check"])
    assert checked.output.endswith("All roll-ups equal the sums of their hours.\n")
