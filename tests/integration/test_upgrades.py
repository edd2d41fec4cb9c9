"""A database of every schema that was published is upgraded with its data, which stays true."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from app import migrate
from app.db import Database, libpq_url
from app.services.attempts import block_checks, packing
from app.services.budgets import upkeep
from app.services.energy import rollups
from app.services.energy.backlog import Backlog
from app.settings import Settings
from pricetag.accounting.document.versions import REBUILT_VERSIONS
from tests.support.api import Api, serving

LANDED = Path(__file__).parents[1] / "data" / "landed"
REVISIONS = sorted(path.name.partition(".")[0] for path in LANDED.glob("*.sql.gz"))


@contextmanager
def made(base_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """A database of its own, by default without tables."""
    base = libpq_url(base_url)
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    yield make_url(base).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="module")
def ladder(database_url: str) -> Iterator[str]:
    """A database without rows that is upgraded from test to test, in the order of the revisions."""
    with made(database_url, f"ladder_{os.getpid()}") as url:
        yield url


@pytest.fixture(params=REVISIONS)
def landed(request: pytest.FixtureRequest, database_url: str, ladder: str) -> Iterator[str]:
    """A database as the code of that time left it."""
    migrate.upgrade(ladder, request.param)
    rungs = str(make_url(ladder).database)
    with made(database_url, f"landed_{os.getpid()}", rungs) as url:
        with psycopg.connect(libpq_url(url)) as connection:
            names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            tables = {name for (name,) in connection.execute(names)} - {"alembic_version"}
            connection.execute("SET session_replication_role = replica")  # as a restore does
            connection.execute(f"TRUNCATE {', '.join(sorted(tables))}".encode())
            connection.execute(gzip.decompress((LANDED / f"{request.param}.sql.gz").read_bytes()))
        yield url


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(libpq_url(url)) as connection:
        return connection.execute(query.encode()).fetchall()


@asynccontextmanager
async def upgraded(url: str, folder: Path) -> AsyncIterator[tuple[Database, Api]]:
    """The server of this version on the database."""
    database = Database(url)
    try:
        async with serving(database, Settings(database_url=url, data_dir=folder)) as api:
            yield database, api
    finally:
        await database.dispose()


async def verified(api: Api, tags: list[tuple[Any, ...]]) -> None:
    """Requires that every price tag is what it was, and follows from its readings."""
    for run_id, version, sha256 in tags:
        path, named = f"/v1/runs/{run_id}/price-tag", {"version": version}
        tag = (await api.viewer.get(path, params=named)).json()
        assert tag["content_sha256"] == sha256
        assert tag["it_energy_kwh"]["value"] == pytest.approx(2400 / 3.6e6)
        checked = (await api.viewer.get(f"{path}/verification", params=named)).json()
        is_rebuilt = tag["provenance"]["accounting_version"] in REBUILT_VERSIONS
        expected = "verified" if is_rebuilt else "not-fully-checked"
        assert checked["outcome"] == expected, "; ".join(s["detail"] for s in checked["steps"])


async def repriced(api: Api, tags: list[tuple[Any, ...]]) -> None:
    """Requires that a price tag of that time can be issued again, and follows from its readings."""
    path = f"/v1/runs/{tags[0][0]}/price-tag"
    issued = await api.admin.post(f"{path}/reprice", json={})
    assert issued.status_code == 201, issued.text
    checked = (await api.viewer.get(f"{path}/verification")).json()
    assert checked["outcome"] == "verified", checked["steps"]


async def consistent(database: Database) -> None:
    """Requires that all sums equal their rows, and all packed readings their hashes."""
    async with database.session_scope() as session:
        for part in await upkeep.parts(session):
            assert await upkeep.wrong_sums(session, part) == 0, part.name
    backlog = Backlog(database, lambda progress: None)
    while not await backlog.fold():
        await asyncio.sleep(0.05)
    async with database.session_scope() as session:
        months = await rollups.months(session)
    for month in months:
        assert not await rollups.wrong_sums(database, month)
    async with database.session_scope() as session:
        assert not (await block_checks.check_some(session, block_checks.START)).wrong


async def packed(database: Database) -> None:
    """Packs what the server would pack in the background."""
    after = packing.NOBODY
    while (step := await packing.pack_some(database, after)) is not None:
        after = step.after


async def test_a_database_of_every_published_schema_is_upgraded_with_its_data(
    landed: str, tmp_path: Path
) -> None:
    tags = rows(landed, "SELECT run_id, version, content_sha256 FROM price_tags ORDER BY 1, 2")
    runs = rows(landed, "SELECT id, name, status FROM runs ORDER BY id")
    assert sorted(status for _, _, status in runs) == [
        "failed",
        "queued",
        "running",
        "succeeded",
        "succeeded",
    ]
    assert len(tags) >= 3
    await asyncio.to_thread(migrate.upgrade, landed)
    assert rows(landed, "SELECT id, name, status FROM runs ORDER BY id") == runs
    async with upgraded(landed, tmp_path) as (database, api):
        await verified(api, tags)
        await packed(database)
        await consistent(database)
        await verified(api, tags)
        await repriced(api, tags)
        listed = (await api.viewer.get("/v1/runs")).json()["items"]
        assert {item["id"] for item in listed} == {str(run_id) for run_id, _, _ in runs}
