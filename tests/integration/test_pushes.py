"""Pushing local runs: killed at any point, a push that is tried again loses and doubles nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.db import Database, libpq_url
from benchmarks.pushes.bench import Bench, opened, plant
from benchmarks.pushes.nursery import CLIENT_POINTS, SERVER_POINTS
from pricetag.local.pushing import pushes_of
from pricetag.local.runs import LocalRun
from tests.support.api import make_token

PART_BYTES = 2_000
SECONDS = 20
KILLED = -9
MOST_TRIES = 5


async def _token(url: str) -> str:
    database = Database(url)
    try:
        async with database.session_scope() as session:
            return await make_token(session, "ingest")
    finally:
        await database.dispose()


@pytest.fixture
def bench(migrated_database_url: str, tmp_path: Path) -> Iterator[Bench]:
    token = asyncio.run(_token(migrated_database_url))
    with opened(migrated_database_url, tmp_path, token, part_bytes=PART_BYTES) as (made, _):
        yield made


def finished(bench: Bench, run: LocalRun) -> None:
    """Pushes until the whole journal is on the server."""
    for _ in range(MOST_TRIES):
        bench.push(run)
        if bench.ended(run) == 0:
            return
    raise AssertionError("the push never ended")


def stored(url: str, run: LocalRun) -> dict[str, Any]:
    """What the database has of a run."""
    with psycopg.connect(libpq_url(url)) as connection:
        row = connection.execute(
            "SELECT runs.status, attempts.ingested_seq, sent_journals.size_bytes,"
            " (SELECT count(*) FROM price_tags WHERE run_id = runs.id),"
            " (SELECT sum(energy_j) FROM measurements"
            "  WHERE attempt_id = attempts.id AND stage_key = ''),"
            " (SELECT count(*) FROM readings WHERE attempt_id = attempts.id),"
            " (SELECT sum(steps) FROM reading_blocks WHERE attempt_id = attempts.id)"
            " FROM runs JOIN attempts ON attempts.run_id = runs.id"
            " JOIN sent_journals ON sent_journals.attempt_id = attempts.id WHERE runs.id = %s",
            (run.run["id"],),
        ).fetchone()
    assert row is not None
    names = ("status", "seq", "size_bytes", "price_tags", "energy_j", "rows", "steps")
    return dict(zip(names, row, strict=True))


def parts_of(lines: list[bytes]) -> int:
    """Number of parts in which a push sends these lines; each ends with the line that fills it."""
    parts = filled = 0
    for line in lines:
        parts += filled == 0
        filled = filled + len(line) if filled + len(line) < PART_BYTES else 0
    return parts


def test_a_push_killed_at_any_point_continues_and_counts_everything_once(
    bench: Bench, migrated_database_url: str, tmp_path: Path
) -> None:
    """Kills of the client and of the server, in the first, a middle and the last part."""
    runs: list[LocalRun] = []
    lines = plant(tmp_path / "local", SECONDS).journal.read_bytes().splitlines(keepends=True)
    parts = parts_of(lines)
    assert parts >= 4
    of_server = {
        *(("asked", 1), ("applied", parts), ("written", 1), ("written", parts)),
        *(("committed", 1), ("committed", parts), ("settled", parts)),
    }
    of_client = {("before", 2), ("sent", 1), ("sent", parts), ("noted", 0)}
    assert {point for point, _ in of_server} == set(SERVER_POINTS)
    assert {point for point, _ in of_client} == set(CLIENT_POINTS)
    for point, part in sorted(of_server):
        run = plant(tmp_path / "local", SECONDS)
        deaths = bench.server_deaths
        bench.plant_kill({"point": point, "part": part})
        finished(bench, run)
        assert bench.server_deaths == deaths + 1, (point, part)
        runs.append(run)
    for point, part in sorted(of_client):
        run = plant(tmp_path / "local", SECONDS)
        bench.push(run, {"point": point, "part": part})
        assert bench.ended(run) == KILLED, (point, part)
        finished(bench, run)
        runs.append(run)
    for run in runs:
        row = stored(migrated_database_url, run)
        assert (row["status"], row["price_tags"], row["rows"]) == ("succeeded", 1, 0)
        assert (row["size_bytes"], row["seq"]) == (run.journal.stat().st_size, len(lines) - 1)
        assert row["steps"] == 2 * SECONDS
        tag = run.price_tag
        assert tag is not None
        assert row["energy_j"] == pytest.approx(tag["it_energy_kwh"]["value"] * 3.6e6, rel=1e-12)
        (push,) = pushes_of(run.folder).values()
        assert push["size_bytes"] == row["size_bytes"]
