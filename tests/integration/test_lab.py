"""A small lab filled in by the benchmark: its rows are as the service would have left them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import make_url

from app import embedded_postgres, migrate
from app.db import Database
from app.services import verification
from app.services.budgets import upkeep
from benchmarks.lab.fill import OtherLabError, fill
from benchmarks.lab.scale import Scale, present_hour

Rows = psycopg.Connection[tuple[Any, ...]]

LAB = Scale(
    runs=300,
    nodes=3,
    devices=8,
    years=0.1,
    variants=16,
    extra_readings=0,
    traces=1,
    trace_hours=1,
    seed=1,
    until=present_hour(),
)


@pytest_asyncio.fixture(scope="module")
async def lab_url(cluster_dir: Path) -> AsyncIterator[str]:
    base = embedded_postgres.ensure(cluster_dir)
    name = f"lab_{os.getpid()}"
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    url = make_url(base).set(database=name).render_as_string(hide_password=False)
    await asyncio.to_thread(fill, url, LAB, 1)
    yield url
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def rows(lab_url: str) -> Iterator[Rows]:
    with psycopg.connect(lab_url, autocommit=True) as connection:
        yield connection


def one(rows: Rows, query: str) -> object:
    row = rows.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_filled_schema_is_the_migrated_one(lab_url: str) -> None:
    migrate.check(lab_url)


def test_the_number_of_finished_runs_is_the_one_asked_for(
    rows: Rows,
) -> None:
    finished = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL"
    assert one(rows, finished) == LAB.runs + LAB.traces
    assert one(rows, "SELECT count(*) FROM attempts WHERE ended_at IS NULL") == LAB.nodes


def test_foreign_keys_hold_without_their_triggers(
    rows: Rows,
) -> None:
    keys = rows.execute(
        "SELECT conrelid::regclass::text, a.attname, confrelid::regclass::text, b.attname"
        " FROM pg_constraint"
        " JOIN pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = conkey[1]"
        " JOIN pg_attribute AS b ON b.attrelid = confrelid AND b.attnum = confkey[1]"
        " WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
    ).fetchall()
    assert len(keys) > 30
    for table, column, other, key in keys:
        orphans = (
            f"SELECT count(*) FROM {table} AS t WHERE t.{column} IS NOT NULL"
            f" AND NOT EXISTS (SELECT FROM {other} AS o WHERE o.{key} = t.{column})"
        )
        assert one(rows, orphans) == 0, (table, column)


def test_nodes_used_at_least_what_their_runs_were_charged(
    rows: Rows,
) -> None:
    short = """
        SELECT count(*) FROM (
            SELECT sum(energy_j) FILTER (WHERE attempt_id IS NULL) AS own_j,
                sum(energy_j) FILTER (WHERE attempt_id IS NOT NULL) AS charged_j
            FROM energy_hours GROUP BY node_name, component, hour
        ) AS slots WHERE charged_j > own_j OR own_j IS NULL
    """
    assert one(rows, short) == 0
    assert one(rows, "SELECT count(*) FROM energy_hours WHERE attempt_id IS NOT NULL") != 0


async def test_every_price_tag_verifies_to_the_last_digit(lab_url: str, rows: Rows) -> None:
    tags = rows.execute(
        "SELECT run_id, version FROM price_tags ORDER BY md5(run_id::text) LIMIT 60"
    ).fetchall()
    database = Database(lab_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            for run_id, version in tags:
                report = await verification.verify(session, run_id, version)
                assert report.outcome == "verified", report
    finally:
        await database.dispose()


async def test_balances_of_budgets_equal_what_they_sum_up(lab_url: str, rows: Rows) -> None:
    database = Database(lab_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            parts = await upkeep.parts(session)
            assert [await upkeep.wrong_sums(session, part) for part in parts] == [0] * len(parts)
    finally:
        await database.dispose()
    lab = "SELECT sum(attempts) FROM spend_balances WHERE scope = 'lab' AND grain = 'month'"
    assert one(rows, lab) == one(rows, "SELECT count(*) FROM spend") != 0
    assert one(rows, "SELECT count(*) FROM reserve_balances") != 0


def test_another_lab_is_rejected(lab_url: str) -> None:
    with pytest.raises(OtherLabError, match="holds another lab"):
        fill(lab_url, replace(LAB, runs=500), 1)
