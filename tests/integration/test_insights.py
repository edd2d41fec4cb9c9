"""Insights over several runs: quality against cost, and the ledger of compression."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from models import Project, Run
from tests.support.api import Api, fields, finished_run, problem
from tests.support.insights import one_trial

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


async def test_the_rungs_of_a_trial_are_one_point_with_their_sum(api: Api) -> None:
    async with api.database.session_scope() as session:
        for number in range(3):
            await finished_run(session, name=f"run {number}")
    first, last, alone = (point["run_id"] for point in (await frontier(api))["points"])
    async with api.database.session_scope() as session:
        await one_trial(session, [UUID(first), UUID(last)])
    shown = await frontier(api)
    assert [point["run_id"] for point in shown["points"]] == [last, alone]
    trial, run = shown["points"]
    assert (trial["runs"], run["runs"]) == (2, 1)
    assert trial["cost"]["value"] == pytest.approx(2 * TOTAL_KWH)
    assert (shown["summed_trials"], shown["summed_runs"], trial["is_dominated"]) == (1, 2, True)
    # A rung that led to a selected one counts although it is beyond the limit.
    newest = await frontier(api, limit=2)
    assert newest["points"] == shown["points"]
    cost = (await api.viewer.get("/v1/insights/research-cost", params={"limit": 2})).json()
    assert [part["runs"] for part in cost["parts"]] == [1, 3, 3]
    assert (cost["green_ai"]["experiments"], cost["summed_runs"]) == (2, 2)
    curves = (await api.viewer.get("/v1/insights/expected-validation")).json()
    [method] = curves["methods"]
    assert (method["unscored"] + method["trials"], curves["summed_trials"]) == (2, 1)
    assert method["mean_cost"]["value"] == pytest.approx(3 * TOTAL_KWH / 2)


def trained_on(name: str, task: str = "classification") -> dict[str, Any]:
    data = {"path": name, "validation": "dev.tsv"}
    return {"task": task, "data": data, "stages": [{"kind": "train"}]}


async def test_runs_of_other_tasks_and_data_are_not_ranked_against_each_other(api: Api) -> None:
    async with api.database.session_scope() as session:
        for name, task in (("a", "classification"), ("b", "classification"), ("a", "regression")):
            await finished_run(session, name=f"{name} {task}", recipe=trained_on(name, task))
        await finished_run(session, name="again", recipe=trained_on("b"))
    shown = await frontier(api)
    names = {point["run_id"]: point["name"] for point in shown["points"]}
    kind = shown["kind"]
    assert (kind["metric"], kind["task"], kind["runs"]) == ("accuracy", "classification", 2)
    [step] = shown["steps"]  # both are the same
    assert names[step["run_id"]] in ("b classification", "again")
    reasons = {point["name"]: point["quality_reason"] for point in shown["points"]}
    [other] = {kind["data"] for kind in shown["kinds"]} - {kind["data"]}
    assert reasons == {
        "a classification": f"scored on other data: {other}",
        "a regression": "scored on another task: regression",
        "b classification": None,
        "again": None,
    }
    assert shown["wasted"] == pytest.approx(TOTAL_KWH)
    assert (shown["without_quality"], len(shown["kinds"])) == (2, 3)
    of_task = await frontier(api, task="regression")
    assert [names[step["run_id"]] for step in of_task["steps"]] == ["a regression"]
    of_data = await frontier(api, data=other, task="classification")
    assert [names[step["run_id"]] for step in of_data["steps"]] == ["a classification"]


async def test_unknown_data_are_stated(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    kind = (await frontier(api))["kind"]
    assert (kind["data"], kind["task"]) == (None, None)
    assert kind["data_reason"] == "the data that it was scored on are not recorded"


async def test_a_score_that_no_run_has_leaves_the_quality_unknown(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    shown = await frontier(api, quality="f1")
    assert (shown["score"], shown["without_quality"], shown["steps"]) == (None, 1, [])
    assert (shown["kind"], shown["reason"]) == (None, "no run with this score has a known cost")
    response = await api.viewer.get("/v1/insights/frontier", params={"metric": "loss"})
    assert fields(problem(response, 422, "invalid-request")) == ["metric"]


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
        response = await api.viewer.get(f"/v1/insights/{path}", params={"project": name})
        problem(response, 404, "project-not-found")


async def test_runs_without_variants_are_not_in_the_ledger(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    response = await api.viewer.get("/v1/insights/compressions")
    assert response.json() == {"items": [], "is_whole": True, "unreadable": 0}
