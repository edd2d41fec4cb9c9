"""Upgrading a database with node hours changes no hour, and the account is right at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg

from app import migrate
from app.db import Database, libpq_url
from app.repositories.energy.rollups import Range
from app.services.energy import rollups
from tests.support.energy import accounts, assert_equal
from tests.support.energy_before_rollups import BEGIN, DAYS, FILL

REVISION = "0011"

KEPT = "SELECT md5(string_agg(h::text, '' ORDER BY h.id)) FROM energy_hours AS h"
MARKS = "SELECT count(*), count(DISTINCT (node_name, hour)) FROM energy_pending"
HOURS = "SELECT count(DISTINCT (node_name, hour)) FROM energy_hours"


def row(url: str, query: str) -> tuple[Any, ...]:
    with psycopg.connect(libpq_url(url)) as connection:
        fetched = connection.execute(query.encode()).fetchone()
    assert fetched is not None
    return fetched


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
    for limit in (7, 100, 1000):  # interrupted, it continues
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
