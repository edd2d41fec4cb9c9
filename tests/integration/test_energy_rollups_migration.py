"""Upgrading a database with node hours changes no hour, and the account is right at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from app import migrate
from app.db import Database, libpq_url
from app.repositories.energy.rollups import Range
from app.services.energy import rollups
from tests.support.energy import accounts, assert_equal

BEGIN = datetime(2026, 1, 25, tzinfo=UTC)
DAYS = 10
REVISION = "0011"

# As an earlier version wrote it: two nodes, attempts that ended, one that is open.
FILL = f"""
SELECT setseed(0.5);
INSERT INTO projects (id, name, description, visibility, created_at)
SELECT gen_random_uuid(), 'project ' || n, '', 'open', now() FROM generate_series(1, 2) AS n;
INSERT INTO experiments (id, project_id, name, description, created_at)
SELECT gen_random_uuid(), id, 'e', '', now() FROM projects;
INSERT INTO runs (id, project_id, experiment_id, name, tags, kind, recipe, gpus, pool, priority,
    max_attempts, status, created_at)
SELECT gen_random_uuid(), place.project_id, place.id, 'run ' || n, '{{}}', 'train', '{{}}', 0,
    'default', 0, 3, 'succeeded', now()
FROM generate_series(0, 19) AS n
JOIN (SELECT *, row_number() OVER () AS k FROM experiments) AS place ON place.k = n % 2 + 1;
INSERT INTO attempts (id, run_id, number, status, worker, node_name, devices, components,
    started_at, lease_renewed_at, ended_at, ingested_seq, shares_overlaps)
SELECT gen_random_uuid(), id, 1, 'failed', 'w', (ARRAY['a', 'b'])[k % 2 + 1], '[]', '[]',
    timestamptz '{BEGIN.isoformat()}' + k * interval '11 hours', now(),
    CASE WHEN k < 20 THEN now() END, 0, false
FROM (SELECT id, row_number() OVER () AS k FROM runs) AS r;
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    energy_j, covered_s, flags)
SELECT gen_random_uuid(), node, 'gpu:1', 'H200', 'gpu', 'counter', 0.05, hour, random() * 1e6,
    3600, '[]'
FROM unnest(ARRAY['a', 'b']) AS node, generate_series(timestamptz '{BEGIN.isoformat()}',
    timestamptz '{BEGIN.isoformat()}' + interval '{DAYS} days', '1 hour') AS hour;
INSERT INTO energy_hours (id, node_name, component, name, kind, method, gain_std_ratio, hour,
    attempt_id, energy_j, covered_s, flags)
SELECT gen_random_uuid(), node_name, 'gpu:1', 'H200', 'gpu', 'counter', 0.05,
    date_trunc('hour', started_at) + k * interval '1 hour', id, random() * 4e5, 3000, '[]'
FROM attempts, generate_series(0, 5) AS k;
"""

KEPT = "SELECT md5(string_agg(h::text, '' ORDER BY h.id)) FROM energy_hours AS h"
MARKS = "SELECT count(*), count(DISTINCT (node_name, hour)) FROM energy_pending"
HOURS = "SELECT count(DISTINCT (node_name, hour)) FROM energy_hours"


def row(url: str, query: str) -> tuple[Any, ...]:
    with psycopg.connect(libpq_url(url)) as connection:
        found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return found


async def test_existing_hours_are_kept_marked_and_folded(fresh_database_url: str) -> None:
    url = fresh_database_url
    migrate.upgrade(url, "0007")
    with psycopg.connect(libpq_url(url)) as old:
        old.execute(FILL.encode())
    before, hours = row(url, KEPT), row(url, HOURS)[0]
    migrate.upgrade(url)
    migrate.check(url)
    assert row(url, KEPT) == before
    assert row(url, MARKS) == (hours, hours)

    database = Database(url, pool_size=1)
    span = Range(BEGIN, BEGIN + timedelta(days=DAYS, hours=7))
    async with database.session_scope() as session:
        figures = await accounts(session, span, every_hour=False)
        await assert_equal(session, span)
    for limit in (7, 100, 1000):  # interrupted, it goes on
        async with database.session_scope() as session:
            assert await rollups.fold_pending(session, limit=limit)
            assert await accounts(session, span, every_hour=False) == figures
    async with database.session_scope() as session:
        while await rollups.fold_pending(session):
            pass
        assert await rollups.pending(session) == 0
        assert await accounts(session, span, every_hour=False) == figures
        months = await rollups.months(session)
    assert [month.name for month in months] == ["2026-02", "2026-01"]
    assert [await rollups.wrong_sums(database, month) for month in months] == [[], []]
    await database.dispose()


def test_an_interrupted_upgrade_runs_again(fresh_database_url: str) -> None:
    url = fresh_database_url
    migrate.upgrade(url, "0007")
    with psycopg.connect(libpq_url(url)) as old:
        old.execute(FILL.encode())
    hours = row(url, HOURS)[0]
    migrate.upgrade(url, REVISION)
    with psycopg.connect(libpq_url(url)) as cut_off:  # before the revision was noted
        cut_off.execute(b"UPDATE alembic_version SET version_num = '0010'")
        cut_off.execute(b"DELETE FROM energy_pending WHERE node_name = 'a'")
        cut_off.execute(b"DROP INDEX ix_energy_hours_hour_node_name")
    migrate.upgrade(url, REVISION)
    assert row(url, MARKS) == (hours, hours)
