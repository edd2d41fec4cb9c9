"""Headlines of price tags in lists: stored when issued, made later for those of old versions."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from sqlalchemy import text

from app import housekeeping
from app.cli import headline_fill as command
from app.db import Database
from app.edge.traffic import NotedRequests, Traffic
from app.services.billing import headlines
from models.documents.codec import encode
from tests.support.api import Api, finished_run

FORGOTTEN = text("UPDATE price_tags SET headline = NULL")
MISSING = text("SELECT count(*) FROM price_tags WHERE headline IS NULL")


async def missing(database: Database) -> int:
    """Number of price tags without a headline."""
    async with database.session_scope() as session:
        return int((await session.execute(MISSING)).scalar_one())


async def listed(api: Api) -> list[Any]:
    response = await api.viewer.get("/v1/runs", params={"sort": "created_at"})
    assert response.status_code == 200, response.text
    return [run["price_tag"] for run in response.json()["items"]]


async def test_a_list_shows_every_figure_of_the_price_tag_with_interval_and_source(
    committed_api: Api,
) -> None:
    async with committed_api.database.session_scope() as session:
        run = await finished_run(session)
    (headline,) = await listed(committed_api)
    issued = (await committed_api.viewer.get(f"/v1/runs/{run}/price-tag")).json()
    for name in ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg"):
        assert headline[name] == issued[name]["value"]
        shown = {key: value for key, value in headline["figures"][name].items() if value}
        assert shown == {key: value for key, value in issued[name].items() if value}, name
    assert headline["figures"]["cost"]["unit"] == issued["cost"]["total"]["unit"]


async def test_price_tags_of_earlier_versions_show_the_same_before_and_after_their_upkeep(
    committed_api: Api,
) -> None:
    database: Database = committed_api.database
    async with database.session_scope() as session:
        for _ in range(3):
            await finished_run(session)
    expected = await listed(committed_api)
    async with database.session_scope() as session:
        await session.execute(FORGOTTEN)
    assert await listed(committed_api) == expected
    place, steps = await headlines.fill_some(database, limit=2), 1
    assert await missing(database) == 1
    while place is not None:
        place, steps = await headlines.fill_some(database, place, limit=2), steps + 1
    assert steps == 3
    assert await listed(committed_api) == expected
    assert await missing(database) == 0


async def test_a_damaged_document_leaves_the_list_whole(committed_api: Api) -> None:
    database: Database = committed_api.database
    async with database.session_scope() as session:
        await finished_run(session)
        await session.execute(
            text("UPDATE price_tags SET headline = NULL, content = :content"),
            {"content": encode({"schema": "pricetag/1"})[:-3]},
        )
    assert await headlines.fill_some(database) is not None
    assert await missing(database) == 0
    (headline,) = await listed(committed_api)
    assert headline["figures"]["it_energy_kwh"]["value"] is None
    assert headline["figures"]["it_energy_kwh"]["reason"]
    assert headline["it_energy_kwh"] is not None  # as its column has it


async def test_the_command_stores_headlines_in_several_processes(
    committed_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = committed_api.database
    async with database.session_scope() as session:
        for _ in range(5):
            await finished_run(session)
    expected = await listed(committed_api)
    async with database.session_scope() as session:
        await session.execute(FORGOTTEN)
    monkeypatch.setattr(command, "PORTION", 1)
    reports: list[int] = []
    monkeypatch.setattr(command, "SHOWN_EVERY_S", -1.0)

    def report(stored: int, left: int, rate: float) -> None:
        reports.append(stored + left)

    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        assert await command._fill(database, processes, 2, report) == 5
    assert await headlines.left(database) == 0
    assert await listed(committed_api) == expected
    assert reports == [5, 5, 5]


def test_the_server_takes_few_price_tags_at_a_time_while_requests_come() -> None:
    now_s = [0.0]
    traffic = Traffic(lambda: now_s[0])
    assert housekeeping.pace_of(traffic) == housekeeping.ALONE
    traffic.note()
    beside = housekeeping.pace_of(traffic)
    assert beside.limit <= housekeeping.ALONE.limit / 10
    assert beside.rest == 9.0  # a tenth of a core
    now_s[0] += 1.5
    assert housekeeping.pace_of(traffic) == housekeeping.ALONE


def test_requests_are_noted_when_they_come_and_when_they_are_answered() -> None:
    now_s = [0.0]
    traffic = Traffic(lambda: now_s[0])
    assert traffic.is_quiet

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert not traffic.is_quiet
        now_s[0] += 5.0
        assert traffic.is_quiet  # a long answer, such as a stream, is not waited for

    asyncio.run(NotedRequests(app, traffic)({"type": "http"}, Any, Any))  # type: ignore[arg-type]
    assert not traffic.is_quiet
    now_s[0] += 1.5
    assert traffic.is_quiet
