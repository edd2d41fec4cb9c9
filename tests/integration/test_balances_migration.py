"""Upgrading a database with budgets and runs keeps the figures, and may be interrupted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from app import migrate
from app.db import Database, libpq_url
from app.services.budgets import upkeep
from tests.support.revisions import downgrade

BEFORE = "0007"
MONTHS = 6

# As an earlier version wrote it: 300 runs in six months, some open, some with several attempts,
# some without a figure.
FILL = f"""
SELECT setseed(0.5);
INSERT INTO users (id, name, role, created_at)
SELECT gen_random_uuid(), 'user ' || n, 'member', now() FROM generate_series(1, 3) AS n;
INSERT INTO projects (id, name, description, visibility, created_at)
SELECT gen_random_uuid(), 'project ' || n, '', 'open', now() FROM generate_series(1, 3) AS n;
INSERT INTO experiments (id, project_id, name, description, created_at)
SELECT gen_random_uuid(), id, 'e', '', now() FROM projects;
INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus, pool, priority,
    max_attempts, status, created_at, created_by)
SELECT gen_random_uuid(), place.project_id, place.id, 'run ' || n, '{{}}', 'train', '{{}}', 0,
    'default', 0, 3, (ARRAY['succeeded', 'failed', 'queued', 'running'])[n % 4 + 1],
    timestamptz '2026-01-01Z' + n * interval '{MONTHS} months' / 300, author.id
FROM generate_series(0, 299) AS n
JOIN (SELECT *, row_number() OVER () AS k FROM experiments) AS place ON place.k = n % 3 + 1
LEFT JOIN (SELECT *, row_number() OVER () AS k FROM users) AS author ON author.k = n % 4 + 1;
INSERT INTO attempts (id, run_id, number, status, worker, node_name, devices, components,
    started_at, lease_renewed_at, ended_at, ingested_seq, shares_overlaps)
SELECT gen_random_uuid(), id, k, 'failed', 'w', 'n', '[]', '[]', created_at, created_at,
    created_at + k * interval '9 hours', 0, false
FROM runs, generate_series(1, 3) AS k WHERE k = 1 OR random() < 0.3;
INSERT INTO spend (attempt_id, run_id, project_id, experiment_id, user_id, at, price_tag_version,
    facility_energy_kwh, co2e_kg, cost, currency, sources)
SELECT a.id, r.id, project_id, experiment_id, created_by, ended_at, 1, kwh, kwh * 0.1,
    (kwh * 0.3)::numeric, CASE WHEN kwh IS NOT NULL THEN 'EUR' END,
    CASE WHEN kwh IS NULL THEN '{{}}'::jsonb ELSE jsonb_build_object('facility_energy_kwh',
        'measured', 'co2e_kg', 'assumed', 'cost', 'estimated') END
FROM attempts AS a JOIN runs AS r ON r.id = run_id,
    LATERAL (SELECT CASE WHEN random() < 0.8 THEN random() + 0 * a.number END AS kwh) AS used;
INSERT INTO quotes (id, run_id, method, content, created_at, facility_energy_kwh, co2e_kg, cost,
    currency)
SELECT gen_random_uuid(), id, 'history', '{{}}', now(), random(), NULL, random()::numeric, 'EUR'
FROM runs WHERE random() < 0.8;
"""

KEPT = (
    "SELECT * FROM spend ORDER BY attempt_id",
    "SELECT run_id, facility_energy_kwh, co2e_kg, cost, currency FROM quotes ORDER BY run_id",
)


class Log(logging.Filter):
    """Keeps the messages of a logger; raises in place of one of them, as an interrupt does."""

    def __init__(self, stop_at: int | None) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._stop_at = stop_at

    def filter(self, record: logging.LogRecord) -> bool:
        if len(self.messages) == self._stop_at:
            raise KeyboardInterrupt
        self.messages.append(record.getMessage())
        return True


@contextmanager
def logged(stop_at: int | None = None) -> Iterator[list[str]]:
    logger = logging.getLogger("pricetag.migrate")
    level, log = logger.level, Log(stop_at)
    logger.setLevel(logging.INFO)
    logger.addFilter(log)
    try:
        yield log.messages
    finally:
        logger.removeFilter(log)
        logger.setLevel(level)


def filled(url: str) -> None:
    migrate.upgrade(url, BEFORE)
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute(FILL.encode())


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(libpq_url(url)) as connection:
        return connection.execute(query.encode()).fetchall()


def wrong_sums(url: str) -> int:
    async def count() -> int:
        database = Database(url, pool_size=1)
        async with database.session_scope() as session:
            wrong = [await upkeep.wrong_sums(session, p) for p in await upkeep.parts(session)]
        await database.dispose()
        return sum(wrong)

    return asyncio.run(count())


def test_an_interrupted_upgrade_continues_with_the_remaining_months(
    fresh_database_url: str,
) -> None:
    url = fresh_database_url
    filled(url)
    before = [rows(url, query) for query in KEPT]
    with pytest.raises(KeyboardInterrupt), logged(stop_at=3):
        migrate.upgrade(url)
    assert rows(url, "SELECT version_num FROM alembic_version") == [(BEFORE,)]
    months = "SELECT DISTINCT day FROM spend_balances WHERE grain = 'month' ORDER BY day"
    assert len(rows(url, months)) == 3
    # Whoever writes before it continues is counted already, in months that are done and others.
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute("DELETE FROM runs WHERE name IN ('run 0', 'run 299')")
        connection.execute("UPDATE runs SET status = 'queued' WHERE name IN ('run 1', 'run 290')")
        connection.execute("UPDATE spend SET co2e_kg = 1 WHERE co2e_kg < 0.01")
    with logged() as messages:
        migrate.upgrade(url)
    migrate.check(url)
    remaining = [message for message in messages if message.startswith("budgets: ")]
    assert 1 <= len(remaining) < MONTHS + 1, messages
    assert wrong_sums(url) == 0
    lab = "FROM spend_balances WHERE scope = 'lab' AND grain = 'month'"
    assert rows(url, f"SELECT sum(attempts) {lab}") == rows(url, "SELECT count(*) FROM spend")
    assert len(before[0]) > len(rows(url, KEPT[0]))


def test_sums_of_work_continue_with_the_remaining_months(fresh_database_url: str) -> None:
    url = fresh_database_url
    filled(url)
    with pytest.raises(KeyboardInterrupt), logged(stop_at=MONTHS + 3) as messages:
        migrate.upgrade(url)
    assert messages[-1].startswith("work: sums of ")
    assert rows(url, "SELECT version_num FROM alembic_version") == [("0021",)]
    done = rows(url, "SELECT count(DISTINCT day) FROM work_balances WHERE grain = 'month'")
    assert 0 < done[0][0] < MONTHS
    # Whoever writes before it continues is counted already, in months that are done and others.
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute("DELETE FROM runs WHERE name IN ('run 0', 'run 299')")
        connection.execute("UPDATE spend SET co2e_kg = 1 WHERE co2e_kg < 0.01")
    with logged() as messages:
        migrate.upgrade(url)
    migrate.check(url)
    assert 1 <= len(messages) < MONTHS, messages
    assert wrong_sums(url) == 0
    kept = "SELECT sum(attempts) FROM work_balances WHERE grain = 'month'"
    assert rows(url, kept) == rows(url, "SELECT count(*) FROM spend")


def test_an_upgrade_and_back_keeps_every_row(fresh_database_url: str) -> None:
    url = fresh_database_url
    filled(url)
    before = [rows(url, query) for query in KEPT]
    migrate.upgrade(url)
    assert [rows(url, query) for query in KEPT] == before
    assert wrong_sums(url) == 0
    assert rows(url, "SELECT count(*) FROM reserves") != [(0,)]
    downgrade(url, BEFORE)
    assert [rows(url, query) for query in KEPT] == before
    functions = "SELECT proname FROM pg_proc WHERE proname ~ '^pricetag_(spend|reserve|run|quote)'"
    assert rows(url, functions) == []
    migrate.upgrade(url)
    assert wrong_sums(url) == 0
