"""A small lab filled by the benchmark: its rows are as the service would have left them."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import make_url, text

from app import embedded_postgres, migrate
from app.db import Database
from app.services.attempts import block_checks
from app.services.budgets import upkeep
from app.services.quoting import scoring
from app.services.verification import checking
from app.settings import Settings
from benchmarks.lab import fill as filling
from benchmarks.lab.facts import read_facts
from benchmarks.lab.fill import OtherLabError, fill
from benchmarks.lab.history import History, Writer
from benchmarks.lab.measure import MISSING
from benchmarks.lab.rebuilds import Preparation
from benchmarks.lab.requests import SORTS, Ask, all_asks
from benchmarks.lab.scale import Scale, present_hour
from tests.support.api import serving
from tests.support.plans import planned
from tests.support.quote_scores import score_summary
from tests.support.scans import WholeRead, enlarge, whole_reads

Rows = psycopg.Connection[tuple[Any, ...]]

PLANNED_SORTS = ("-created_at", "name", "-cost")
UNPLANNED = {"streamRunEvents", "streamLab", "downloadRunArtifact", "renderReport", "getReport"}

MONTHS = (*(f"energy, a month by {by}, compared" for by in ("node", "project", "user")),)
"""Beginnings of titles of requests for a month or a year, which is most of the small lab: reading
all of it is right there. They are planned for a shorter span."""

SHARE_OF_A_MONTH = timedelta(hours=14)
"""As large a share of the small lab as a month is of five years."""


@dataclass(frozen=True)
class Plans:
    """Large tables, and what each request would read of them without need."""

    large: set[str]
    reads: dict[str, list[WholeRead]]


LAB = Scale(
    runs=200,
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


class InterruptedFillError(Exception):
    """Stands for a power cut."""


async def _interrupted(url: str) -> None:
    """A fill that ends in its third week; the next one continues there."""
    write_week = History.write_week

    def cut(history: History, week: int, writer: Writer) -> int:
        if week == 2:
            raise InterruptedFillError
        return write_week(history, week, writer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "write_week", cut)
        prepared: list[datetime] = []
        noting = Preparation("note", lambda url, start, stop: prepared.append(start))
        patch.setattr(filling, "PREPARATIONS", [noting])
        with pytest.raises(InterruptedFillError):
            await asyncio.to_thread(fill, url, LAB, 1)
    assert prepared
    assert prepared[0] < LAB.start
    with psycopg.connect(url) as connection:
        written = connection.execute("SELECT count(*) FROM runs").fetchone()
    assert written == (sum(LAB.runs_by_week()[:2]),)


@pytest_asyncio.fixture(scope="module")
async def lab_url(cluster_dir: Path) -> AsyncIterator[str]:
    base = embedded_postgres.ensure(cluster_dir)
    name = f"lab_{os.getpid()}"
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    url = make_url(base).set(database=name).render_as_string(hide_password=False)
    await _interrupted(url)
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


def test_the_number_of_finished_runs_is_the_requested_one(
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
        "SELECT run_id, version FROM price_tags ORDER BY md5(run_id::text) LIMIT 20"
    ).fetchall()
    database = Database(lab_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            for run_id, version in tags:
                report = await checking.verify(session, run_id, version)
                assert report.outcome == "verified", report
    finally:
        await database.dispose()


async def test_balances_of_budgets_equal_the_sums_of_their_rows(lab_url: str, rows: Rows) -> None:
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


async def test_the_scores_of_quotes_in_columns_are_those_of_the_documents(
    lab_url: str, rows: Rows
) -> None:
    documents = rows.execute(
        "SELECT score FROM quotes WHERE scored_at IS NOT NULL ORDER BY scored_at DESC, run_id DESC"
    ).fetchall()
    database = Database(lab_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            summary = await scoring.scores(session)
    finally:
        await database.dispose()
    assert summary == score_summary([document for (document,) in documents])
    assert summary.groups


def test_another_lab_is_rejected(lab_url: str) -> None:
    with pytest.raises(OtherLabError, match="holds another lab"):
        fill(lab_url, replace(LAB, runs=500), 1)


def is_planned(ask: Ask) -> bool:
    """Every read, in one direction of each order: the other one has the same plan."""
    sorts = {query.get("sort", SORTS[0]) for query in ask.queries}
    planned_sorts = {*PLANNED_SORTS, *(() if "+" in ask.title else ("finished_at",))}
    return ask.body is None and sorts <= planned_sorts and ask.operation not in UNPLANNED


def query_of(ask: Ask) -> dict[str, Any]:
    """The query of a request, for a share of the lab as in one of a million runs."""
    query: dict[str, Any] = dict(ask.queries[0])
    if ask.title.startswith(MONTHS):
        begin = datetime.fromisoformat(query["to"]) - SHARE_OF_A_MONTH
        query["from"] = begin.isoformat()
    return query


@pytest_asyncio.fixture(scope="module")
async def plans(lab_url: str, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """What every request would read of large tables, by its title."""
    folder = tmp_path_factory.mktemp("data")
    database = Database(lab_url, pool_size=2)
    with psycopg.connect(lab_url, autocommit=True) as connection:
        facts = read_facts(connection)
        facts = replace(facts, values=facts.values | {"report": str(uuid.uuid4())})
        large = enlarge(connection, LAB.runs)
        reads: dict[str, list[WholeRead]] = {}
        async with serving(database, Settings(database_url=lab_url, data_dir=folder)) as api:
            for ask in filter(is_planned, all_asks(facts)):
                with planned(database) as statements:
                    response = await api.admin.get(ask.path, params=query_of(ask))
                expected = MISSING if ask.is_missing else {200}
                assert response.status_code in expected, (ask.title, response.text)
                reads[ask.title] = whole_reads(statements, large)
    await database.dispose()
    return Plans(set(large.values()), reads)


def test_large_tables_are_identified_by_their_rows(plans: Plans) -> None:
    expected = {"runs", "attempts", "price_tags", "energy_hours", "quotes", "spend"}
    assert expected | {"reading_blocks"} <= plans.large


async def test_readings_of_the_lab_are_packed(lab_url: str) -> None:
    with psycopg.connect(lab_url) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM readings JOIN attempts ON attempts.id = attempt_id"
            " WHERE ended_at IS NOT NULL"
        ).fetchone()
        (steps,) = connection.execute("SELECT max(steps) FROM reading_blocks").fetchone() or (0,)
    assert rows == (0,)
    assert steps >= 900  # of a trace: others have few readings
    database = Database(lab_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            checked = await block_checks.check_some(session, limit=1000)
    finally:
        await database.dispose()
    assert checked.blocks > 100
    assert checked.wrong == ()


def test_no_request_reads_a_large_table_from_beginning_to_end(plans: Plans) -> None:
    for beginning in MONTHS:
        assert any(title.startswith(beginning) for title in plans.reads), beginning
    reading = {
        title: [str(read) for read in table_reads]
        for title, table_reads in plans.reads.items()
        if table_reads
    }
    assert not reading, "\n".join(
        f"{title}: {table_reads}" for title, table_reads in reading.items()
    )


async def test_a_statement_without_an_index_is_detected(plans: Plans, lab_url: str) -> None:
    large = {name: name for name in plans.large}
    database = Database(lab_url, pool_size=1)
    try:
        async with database.session_scope() as session:
            for statement, nodes in (
                ("SELECT * FROM runs WHERE recipe = '{}'", ["Seq Scan"]),
                ("SELECT id FROM runs ORDER BY created_at, id LIMIT 5", []),
                ("SELECT * FROM price_tags ORDER BY cause LIMIT 5", ["Seq Scan"]),
                ("SELECT count(*) FROM price_tags", ["Seq Scan"]),
            ):
                with planned(database) as made:
                    await session.execute(text(statement))
                assert [read.node for read in whole_reads(made, large)] == nodes, statement
    finally:
        await database.dispose()
