"""The account from roll-ups is the sum over the hours, whatever happened and in which order."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.db import Database, Session
from app.repositories import energy_folding
from app.repositories.energy_calendar import after, floor
from app.repositories.energy_rollups import Range
from app.services.energy import rollups
from tests.support.energy import BEGIN, HOUR, Lab, assert_equal

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
    found: int = (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
    return found


@settings(max_examples=6)
@given(seed=st.integers(0, 2**32))
async def test_whatever_happens_the_sums_are_those_of_the_hours(db: Database, seed: int) -> None:
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
            for _ in range(lab.draw.randint(1, 3)):
                await lab.step(session)
                await asyncio.sleep(lab.draw.choice([0, 0, 0.01, 0.05]))
            if lab.draw.random() < 0.15:
                await session.rollback()
                lab.attempts = before
            else:
                await session.commit()


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
    while not written.is_set():
        async with database.sessions() as session:
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            await assert_equal(session, (ALL, ONE)[rounds % 2])
        rounds += 1
        await asyncio.sleep(0)
    return rounds


@pytest.mark.parametrize("seed", [1, 2])
async def test_at_every_moment_beside_writers_the_sums_are_those_of_the_hours(
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
        assert await energy_folding.count_pending(session, NOW) == 0
        assert await count(session, "energy_rollup_hours") > 50
        await assert_equal(session, ALL, ONE)
    for start in MONTHS:
        assert await rollups.wrong_sums(committed_db, rollups.Month(start)) == []
