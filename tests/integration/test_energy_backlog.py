"""A long backlog of hours, as an upgrade leaves it, is folded in pieces and with progress."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text
from typer.testing import CliRunner

from app import migrate
from app.cli import commands
from app.db import Database, libpq_url
from app.housekeeping import keep_rolled_up, report_backlog
from app.repositories.energy import folding
from app.repositories.energy.rollups import Range
from app.services.alarms import Alarms
from app.services.energy import backlog as backlogs
from app.services.energy import rollups
from app.services.energy.backlog import LONG, Backlog, Progress
from app.settings import get_settings
from tests.support.api import Api
from tests.support.energy import accounts
from tests.support.energy_before_rollups import BEGIN, DAYS, FILL

SPAN = Range(BEGIN, BEGIN + timedelta(days=DAYS, hours=7))
HOURS = 2 * (DAYS * 24 + 1)
"""Number of hours of nodes that the history has at least."""

PIECE = 100


@pytest_asyncio.fixture
async def upgraded(committed_db: Database) -> AsyncIterator[Database]:
    """The history, none of whose hours is in the roll-ups yet."""
    with psycopg.connect(libpq_url(committed_db.url)) as direct:
        direct.execute(FILL.encode())
        direct.execute("UPDATE attempts SET ended_at = now() WHERE ended_at IS NULL")
    yield committed_db


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMALLEST", "BATCH", "LARGEST", "LONG"):
        monkeypatch.setattr(backlogs, name, PIECE)


def hasty_clock() -> Any:
    """A clock on which every piece ends late enough for a report."""
    return count(0, 60).__next__


async def pending(database: Database) -> int:
    async with database.session_scope() as session:
        return await rollups.pending(session)


async def figures(database: Database) -> dict[str, list[Any]]:
    """The account by everything; the same judged hour by hour, to the last digit."""
    async with database.session_scope() as session:
        rolled = await accounts(session, SPAN, every_hour=False)
        assert rolled == await accounts(session, SPAN, every_hour=True)
    return rolled


async def wrong_sums(database: Database) -> list[str]:
    async with database.session_scope() as session:
        months = await rollups.months(session)
    return [line for month in months for line in await rollups.wrong_sums(database, month)]


async def test_a_backlog_is_folded_newest_month_first_with_progress(
    upgraded: Database, small_pieces: None
) -> None:
    before, waiting = await figures(upgraded), await pending(upgraded)
    assert waiting >= HOURS
    reports: list[Progress] = []
    backlog = Backlog(upgraded, reports.append, hasty_clock())
    assert await backlog.fold()
    assert await pending(upgraded) == 0
    assert backlog.folded >= waiting
    assert [report.left + report.folded for report in reports[:-1]] == [waiting] * (
        len(reports) - 1
    )
    assert all(report.rest_s is not None for report in reports)
    newest = [report.newest for report in reports if report.newest is not None]
    assert newest == sorted(newest, reverse=True)
    assert len(newest) > 3
    assert "wait to be added" in reports[0].text
    assert reports[-1].text == "energy account: all hours are in the roll-ups"
    assert await figures(upgraded) == before
    assert await wrong_sums(upgraded) == []


@pytest.mark.parametrize("failure", [asyncio.CancelledError, KeyboardInterrupt, RuntimeError])
async def test_an_interrupted_backlog_continues_where_it_was(
    upgraded: Database, small_pieces: None, failure: type[BaseException]
) -> None:
    before, waiting = await figures(upgraded), await pending(upgraded)
    reports: list[Progress] = []

    def fail_later(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 2:
            raise failure

    with pytest.raises(failure):
        await Backlog(upgraded, fail_later, hasty_clock()).fold()
    left = await pending(upgraded)
    assert 0 < left < waiting
    assert await figures(upgraded) == before
    goes_on = Backlog(upgraded, reports.append)
    assert await goes_on.fold()
    assert goes_on.folded == left
    assert await figures(upgraded) == before
    assert await wrong_sums(upgraded) == []


async def test_while_another_process_folds_the_progress_is_reported(upgraded: Database) -> None:
    reports: list[Progress] = []
    backlog = Backlog(upgraded, reports.append)
    async with upgraded.session_scope() as other:
        assert await folding.try_lock(other)
        assert not await backlog.fold()
    [progress] = reports
    assert (progress.folded, progress.rest_s) == (0, None)
    assert progress.left >= HOURS
    assert await backlog.fold()


class Recorder(Alarms):
    """Notices that keep what they were."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[str | None] = []
        self.cleared = asyncio.Event()

    def put(self, name: str, message: str | None) -> bool:
        if message is None and self.history:
            self.cleared.set()
        self.history.append(message)
        return super().put(name, message)


async def test_the_server_folds_a_backlog_and_keeps_a_notice_until_it_is_done(
    upgraded: Database, small_pieces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.housekeeping.LONG", PIECE)
    monkeypatch.setattr(backlogs, "REPORT_EVERY_S", 0.0)
    before, notices = await figures(upgraded), Recorder()
    task = asyncio.create_task(keep_rolled_up(upgraded, Alarms(), notices))
    await notices.cleared.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    shown = [message for message in notices.history if message is not None]
    assert shown
    assert all("wait to be added to the roll-ups" in message for message in shown)
    assert notices.messages == []
    assert await figures(upgraded) == before


async def test_a_notice_is_in_the_readiness_and_leaves_the_server_ready(
    committed_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    notices = committed_api.app.state.resources.notices
    with caplog.at_level("INFO", "pricetag.server"):
        report_backlog(Progress(500, LONG, BEGIN, 5.0), notices)
    ready = await committed_api.nobody.get("/readyz")
    assert ready.status_code == 200
    [notice] = ready.json()["notices"]
    assert f"{LONG} hours of nodes, up to {BEGIN:%Y-%m}, wait" in notice
    assert "for about 3 min" in notice
    assert [record.message for record in caplog.records] == [notice]
    report_backlog(Progress(500 + LONG, 0, None, 205.0), notices)
    assert (await committed_api.nobody.get("/readyz")).json()["notices"] == []


async def test_the_command_that_upgrades_fills_the_roll_ups(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(fresh_database_url, "0007")
    with psycopg.connect(libpq_url(fresh_database_url)) as old:
        old.execute(FILL.encode())
    monkeypatch.setenv("PRICETAG_DATABASE_URL", fresh_database_url)
    get_settings.cache_clear()
    invoke = CliRunner().invoke
    schema_alone = await asyncio.to_thread(invoke, commands, ["migrate", "--no-fold"])
    assert schema_alone.exit_code == 0, schema_alone.output
    database = Database(fresh_database_url, pool_size=1)
    before, waiting = await figures(database), await pending(database)
    assert waiting >= HOURS
    filled = await asyncio.to_thread(invoke, commands, ["migrate"])
    assert filled.exit_code == 0, filled.output
    done = f"energy account: all hours are in the roll-ups ({waiting} added)\n"
    assert filled.output.endswith(done)
    assert await pending(database) == 0
    assert await figures(database) == before
    assert await wrong_sums(database) == []
    again = await asyncio.to_thread(invoke, commands, ["migrate", "--json"])
    assert json.loads(again.stdout)["folded"] == 0
    await database.dispose()


async def test_an_interrupted_command_states_who_continues(
    committed_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATABASE_URL", committed_db.url)
    get_settings.cache_clear()

    async def interrupted(self: Backlog) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Backlog, "fold", interrupted)
    result = await asyncio.to_thread(CliRunner().invoke, commands, ["migrate"])
    assert result.exit_code == 1
    assert "interrupted: the server adds the remaining hours" in result.output


MANY_SERIES = 3000
MANY_HOURS = f"""
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    energy_j, covered_s, flags)
SELECT gen_random_uuid(), 'many', 'gpu:' || n, 'H200', 'gpu', 'counter', 0.05,
    timestamptz '{BEGIN.isoformat()}' + k * interval '1 hour', 1e6, 3600, '[]'
FROM generate_series(1, {MANY_SERIES}) AS n, generate_series(0, 1) AS k
"""
READ_OF_SERIES = """
SELECT pg_stat_get_xact_tuples_returned('energy_series'::regclass)
    + pg_stat_get_xact_tuples_returned('uq_energy_series_key'::regclass)
    + pg_stat_get_xact_tuples_returned('pk_energy_series'::regclass)
"""


async def test_a_fold_reads_a_few_rows_of_each_series_however_many_they_are(
    committed_db: Database,
) -> None:
    with psycopg.connect(libpq_url(committed_db.url)) as direct:
        direct.execute(MANY_HOURS.encode())
    async with committed_db.session_scope() as session:
        assert await rollups.fold_pending(session) == 2
    with psycopg.connect(libpq_url(committed_db.url), autocommit=True) as direct:
        direct.execute("ANALYZE energy_series")
        direct.execute("UPDATE energy_hours SET energy_j = 2e6")
    async with committed_db.session_scope() as session:
        before: int = (await session.execute(text(READ_OF_SERIES))).scalar_one()
        assert await rollups.fold_pending(session) == 2
        after: int = (await session.execute(text(READ_OF_SERIES))).scalar_one()
    assert after - before < 50 * MANY_SERIES
