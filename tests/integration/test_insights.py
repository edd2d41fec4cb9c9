"""Insights over several runs: quality against cost, and the ledger of compression."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from models import Project, Run
from tests.support.api import Api, fields, finished_run, problem

TOTAL_KWH = 2400.0 / 3.6e6


async def frontier(api: Api, **query: Any) -> dict[str, Any]:
    response = await api.viewer.get("/v1/insights/frontier", params=query)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_runs_are_shown_with_cost_quality_and_frontier(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_ids = [str(await finished_run(session, name=f"run {n}")) for n in range(3)]
    shown = await frontier(api)
    assert shown["score"] == {"metric": "accuracy", "split": "validation"}
    assert (shown["metric"], shown["unit"], shown["is_whole"]) == ("it_energy_kwh", "kWh", True)
    assert {point["run_id"] for point in shown["points"]} == set(run_ids)
    assert {point["quality"] for point in shown["points"]} == {0.9}
    cost = shown["points"][0]["cost"]
    assert cost["value"] == pytest.approx(TOTAL_KWH)
    assert cost["low"] < cost["value"] < cost["high"]
    [step] = shown["steps"]  # all are the same: the first to end is taken
    assert (step["price"], step["is_costlier"]) == (None, None)
    assert shown["wasted"] == pytest.approx(2 * TOTAL_KWH)
    limited = await frontier(api, limit=2)
    assert (len(limited["points"]), limited["is_whole"]) == (2, False)
    duration = await frontier(api, metric="duration_s")
    assert duration["unit"] == "s"


async def test_a_score_that_no_run_has_leaves_the_quality_unknown(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    shown = await frontier(api, quality="f1")
    assert (shown["score"], shown["without_quality"], shown["steps"]) == (None, 1, [])
    answer = await api.viewer.get("/v1/insights/frontier", params={"metric": "loss"})
    assert fields(problem(answer, 422, "invalid-request")) == ["metric"]


async def test_hidden_runs_are_in_no_insight(api: Api) -> None:
    async with api.database.session_scope() as session:
        seen, hidden = await finished_run(session), await finished_run(session)
        project_id = (await session.get_one(Run, UUID(str(hidden)))).project_id
        hide = update(Project).where(Project.id == project_id).values(visibility="private")
        await session.execute(hide)
        name = (await session.get_one(Project, project_id)).name
    shown = await frontier(api)
    assert [point["run_id"] for point in shown["points"]] == [str(seen)]
    for path in ("frontier", "compressions"):
        answer = await api.viewer.get(f"/v1/insights/{path}", params={"project": name})
        problem(answer, 404, "project-not-found")


async def test_runs_without_variants_are_not_in_the_ledger(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    response = await api.viewer.get("/v1/insights/compressions")
    assert response.json() == {"items": [], "is_whole": True}
