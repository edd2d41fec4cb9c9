"""Two server processes on one database, and eight workers: the last of a budget goes to one run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select

from app.db import Database
from app.repositories.budgets import upkeep
from app.services.attempts import execution
from models import Attempt, Run
from tests.support.api import Api, run_body
from tests.support.budgets import FACTORS, make_budget
from tests.support.patience import PATIENCE_S
from tests.support.quoted import trained, training
from tests.support.service import servers

WORKERS = 8
POSTS = 12
PERIODS = ("total", "week", "month", "year")


@pytest_asyncio.fixture
async def clients(committed_api: Api, tmp_path: Path) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Members' clients of two servers."""
    settings = {name: str(value) for name, value in FACTORS.items()}
    url = committed_api.database.url
    opening = servers(2, tmp_path, database_url=url, **settings)
    running = await asyncio.to_thread(opening.__enter__)
    headers = {"Authorization": committed_api.member.headers["Authorization"]}
    opened = [
        httpx.AsyncClient(base_url=str(one.http.base_url), headers=headers, timeout=PATIENCE_S)
        for one in running
    ]
    try:
        yield opened
    finally:
        for client in opened:
            await client.aclose()
        await asyncio.to_thread(opening.__exit__, None, None, None)


async def work(database: Database, name: str, ended: asyncio.Event) -> None:
    """A worker that claims whatever is queued, and continues with it forever."""
    while not ended.is_set():
        async with database.session_scope() as session:
            queued = (await session.scalars(select(Run.id).where(Run.status == "queued"))).all()
        for run_id in queued:
            async with database.session_scope() as session:
                await execution.claim(session, run_id, worker=name, node_name=name, devices=[])
        await asyncio.sleep(0.005)


async def fold(database: Database, ended: asyncio.Event) -> None:
    """The housekeeping of balances, which moves their rows."""
    while not ended.is_set():
        async with database.session_scope() as session:
            await upkeep.fold(session)
        await asyncio.sleep(0.02)


async def open_runs(database: Database) -> set[UUID]:
    async with database.session_scope() as session:
        query = select(Run.id).where(Run.status.in_(("queued", "running")))
        return set((await session.scalars(query)).all())


@pytest.mark.usefixtures("budget_factors")
async def test_of_posts_to_two_servers_only_those_are_admitted_that_fit(
    committed_api: Api, clients: list[httpx.AsyncClient]
) -> None:
    await trained(committed_api)
    body = {"run": run_body(recipe=training())}
    quote = (await clients[0].post("/v1/quotes", json=body)).json()
    expected_kwh: float = quote["quantities"]["facility_energy_kwh"]["value"]
    spent_kwh: float | None = None
    names = count()

    async def post(number: int) -> httpx.Response:
        # One client after the other, so that each server has half of them at the same moment.
        own = run_body(recipe=training(), name=f"run {next(names)}")
        return await clients[number % 2].post("/v1/runs", json=own, timeout=60)

    made = [
        await make_budget(committed_api, name=period, period=period, amount=1e9)
        for period in PERIODS
    ]
    state = (await committed_api.viewer.get(f"/v1/budgets/{made[0]['id']}")).json()
    spent_kwh = state["spent"]
    ended = asyncio.Event()
    pool = Database(committed_api.database.url, pool_size=WORKERS)
    workers = [asyncio.create_task(work(pool, f"w{n}", ended)) for n in range(WORKERS)]
    workers.append(asyncio.create_task(fold(pool, ended)))
    try:
        for admitted in (1, 2, 4):  # how many runs fit in all
            limit_kwh = spent_kwh + (admitted + 0.5) * expected_kwh
            for budget in made:
                changed = await committed_api.admin.patch(
                    f"/v1/budgets/{budget['id']}", json={"amount": limit_kwh}
                )
                assert changed.status_code == 200, changed.text
            before = await open_runs(pool)
            responses = await asyncio.gather(*(post(number) for number in range(POSTS)))
            accepted = [one for one in responses if one.status_code == 202]
            rejected = [one for one in responses if one.status_code != 202]
            assert {one.json()["code"] for one in rejected} == {"budget-exceeded"}
            assert len(accepted) == admitted - len(before)
            assert len(await open_runs(pool)) == admitted
            for budget in made:
                state = (await committed_api.viewer.get(f"/v1/budgets/{budget['id']}")).json()
                assert state["reserved"] == pytest.approx(admitted * expected_kwh)
                assert state["left"] == pytest.approx(0.5 * expected_kwh)
        await claimed_by_all(pool, 4)
    finally:
        ended.set()
        await asyncio.gather(*workers)
        await pool.dispose()


async def claimed_by_all(database: Database, runs: int) -> None:
    """Waits until each open run has its one attempt."""
    attempts: list[Any] = []
    async with asyncio.timeout(60):
        while len(attempts) < runs:
            async with database.session_scope() as session:
                query = select(Attempt.run_id).where(Attempt.ended_at.is_(None))
                attempts = list((await session.scalars(query)).all())
    assert len(set(attempts)) == len(attempts) == runs
