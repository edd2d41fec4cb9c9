"""Figures of a history of 5,000 runs equal those of the slow way, to the last digit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest_asyncio
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database, Session
from app.repositories.budgets import upkeep
from app.repositories.energy import checking
from app.repositories.energy import hours as energy_hours
from app.repositories.energy.account import sums, sums_by_owner
from app.repositories.energy.calendar import after, floor
from app.repositories.energy.rollups import By, Range
from app.services.energy import rollups
from models import EnergyHour, Run
from tests.integration.test_balances import check, differences
from tests.support.energy import BYS, COMPONENTS, EVERYBODY, HOUR, OWNERS, SITES, row
from tests.support.spending import BEGIN, DAYS, History, Past

SPAN = timedelta(days=35)
"""The attempts of the history are moved together, so that many fall into each hour."""

START, STOP = floor(BEGIN, "month"), after(after(BEGIN, "month"), "month")
NOW = STOP + timedelta(days=1)
ALL = Range(START, STOP, now=NOW)
PART = Range(BEGIN + timedelta(days=3, hours=5), BEGIN + timedelta(days=31, hours=7), "a", NOW)


class Hours:
    """What the attempts of a history are charged by the hour, beside what their nodes used."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._draw = history.random

    def of_run(self, run: Past) -> Iterator[tuple[UUID, list[dict[str, Any]]]]:
        """The hours of each attempt: one to three, on one node, of one or two components."""
        for attempt_id, ended_at in zip(run.attempts, run.at, strict=True):
            hour = self._hour(ended_at)
            node = self._draw.choice(list(SITES))
            components = self._draw.sample(list(COMPONENTS), self._draw.randint(1, 2))
            yield (
                attempt_id,
                [
                    row(node, component, hour - ago * HOUR, attempt_id, self._energy_j(), 3600.0)
                    for component in components
                    for ago in range(self._draw.choice((1, 1, 2, 3)))
                ],
            )

    def of_nodes(self) -> Iterator[dict[str, Any]]:
        """What was metered on the nodes, in most of the hours; less than was charged in some."""
        for number in range(SPAN // HOUR + 1):
            for node in SITES:
                for component in COMPONENTS:
                    if self._draw.random() < 0.95:
                        total_j = 20 * self._energy_j()
                        hour = BEGIN + number * HOUR
                        charged = row(node, component, hour, UUID(int=0), total_j, 3600.0)
                        yield {**charged, "attempt_id": None}

    def _hour(self, at: datetime) -> datetime:
        return floor(BEGIN + (at - BEGIN) * (SPAN.days / DAYS), "hour")

    def _energy_j(self) -> float:
        draw = self._draw
        return draw.choice((0.1, 1e6 * draw.random(), 10 ** draw.uniform(-6, 6)))

    async def change(self, session: Session) -> None:
        """Energy booked again, by a late journal or a re-pricing; a correction by hand; a move."""
        run = self._draw.choice(self._history.runs)
        kind = self._draw.choice(("book", "book", "correct", "move", "delete"))
        if kind == "book":
            for attempt_id, rows in self.of_run(run):
                await energy_hours.replace_attempt_hours(session, attempt_id, rows)
        elif kind == "correct":
            wrong = update(EnergyHour).where(EnergyHour.attempt_id.in_(run.attempts))
            await session.execute(wrong.values(energy_j=EnergyHour.energy_j / 3))
        elif kind == "move":
            project_id, _ = self._draw.choice(self._history.experiments)
            values = {
                "project_id": project_id,
                "created_by": self._draw.choice(self._history.users),
            }
            await session.execute(update(Run).where(Run.id == run.run_id).values(**values))
        else:
            self._history.runs.remove(run)
            await session.execute(delete(Run).where(Run.id == run.run_id))


async def differing(session: Session, hours: Range, groupings: Sequence[str]) -> list[str]:
    """Groupings whose account differs from the sum over all hours, each judged again."""
    wrong = []
    for by in groupings:
        accounts: list[list[Any]] = []
        for every in (False, True):
            rows = (
                await sums_by_owner(session, by, EVERYBODY, hours, every_hour=every)
                if by in OWNERS
                else await sums(session, cast("By", by), hours, every_hour=every)
            )
            accounts.append(list(map(tuple, rows)))
        assert len(accounts[0]) > 1
        wrong += [by] if accounts[0] != accounts[1] else []
    return wrong


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lived(engine_database: Database) -> AsyncIterator[tuple[Session, History]]:
    """A history that both tests continue with, and the session that it was written in."""
    async with engine_database.engine.connect() as connection:
        outer = await connection.begin()
        async with AsyncSession(connection, expire_on_commit=False) as session:
            history = History(9)
            await history.begin(session, 5000)
            yield session, history
        await outer.rollback()


async def test_balances_of_5000_runs_equal_the_full_sums(lived: tuple[Session, History]) -> None:
    session, history = lived
    compared = await check(session, history, 30)
    for number in range(200):
        await history.go_on(session)
        if number % 50 == 0:
            await upkeep.fold(session)
            compared += await check(session, history, 5)
    compared += await check(session, history, 60)
    assert await differences(session) == []
    assert compared > 120


async def test_the_account_of_5000_runs_equals_the_sum_of_their_hours(
    lived: tuple[Session, History],
) -> None:
    session, history = lived
    hours = Hours(history)
    rows = [one for run in history.runs for _, booked in hours.of_run(run) for one in booked]
    await energy_hours.put_attempt_hours(session, [*rows, *hours.of_nodes()])
    await session.execute(text("ANALYZE"))
    while await rollups.fold_pending(session, now=NOW):
        pass
    # As autovacuum does. By the statistics of tables that other tests filled and emptied, the
    # planner may choose loops that take minutes.
    await session.execute(text("ANALYZE"))
    for _ in range(200):
        await hours.change(session)
    every = (*BYS, *OWNERS)
    assert await differing(session, PART, every) == []  # with pending hours
    await rollups.fold_pending(session, limit=100, now=NOW)  # some of them
    assert await differing(session, ALL, ("component", "hour", "project", "user")) == []
    while await rollups.fold_pending(session, now=NOW):
        pass
    assert await differing(session, PART, every) == []
    assert list(await checking.wrong_hours(session, START, STOP, NOW)) == []
    for level in checking.LEVELS:
        assert list(await checking.wrong_sums(session, level, START, STOP)) == []
