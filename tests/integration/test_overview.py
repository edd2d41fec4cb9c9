"""The lab at a glance: power, use, budgets in the order in which they break, runs, idle devices."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.services.attempts import execution
from app.services.live.hub import LiveHub
from app.services.overview import board
from app.services.queueing import waiting
from app.services.queueing.waiting import Offer
from models import Attempt, Baseline, Node, Project, Run, WorkerProcess
from tests.support.api import Api, finished_run, running_run
from tests.support.budgets import make_budget
from tests.support.entries import hours_csv, make_site, posted, series
from tests.support.executions import GPU, claimed, make_run

T0 = 1_772_366_400_000


@pytest.fixture(autouse=True)
def read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "FRESH_S", -1.0)


async def overview(api: Api) -> dict[str, Any]:
    response = await api.viewer.get("/v1/overview")
    assert response.status_code == 200, response.text
    return dict(response.json())


def report(api: Api, node: str, **watts: int) -> None:
    """What a worker sends: one second of some components."""
    live: LiveHub = api.app.state.resources.live
    rows = [
        {
            "id": name,
            "kind": "gpu",
            "name": "H200",
            "limit_w": 700,
            "method": "modelled" if name == "cpu" else "counter",
            "w": [power_w] * 10,
        }
        for name, power_w in watts.items()
    ]
    batch = {"node": node, "t0": T0, "dt_ms": 100, "components": rows}
    live.board.receive(json.dumps(batch), time.monotonic())
    live.board.cut(time.monotonic())


async def test_power_is_charged_by_what_runs_have_reserved(api: Api) -> None:
    nothing = (await overview(api))["power"]
    assert nothing["power_w"]["value"] is None
    assert "no meter reports" in nothing["power_w"]["reason"]
    async with api.database.session_scope() as session:
        await running_run(session, 5)
    report(api, "node", **{GPU: 300, "gpu:other": 60})
    report(api, "second", cpu=40)
    read = await overview(api)
    power = read["power"]
    run = (await api.viewer.get("/v1/power")).json()
    used = {each["device"]["component"]: each["share_ratio"] for each in run["devices"]}
    charged = 300 * used[GPU] + 60 * used["gpu:other"]
    assert (power["power_w"]["value"], power["charged_w"]["value"]) == (400, charged)
    assert power["unallocated_w"]["value"] == 400 - charged
    assert [(each["node"], each["power_w"]["value"]) for each in power["nodes"]] == [
        ("node", 360),
        ("second", 40),
    ]
    assert power["power_w"]["source"] == "modelled"  # the weakest of all
    assert power["nodes"][0]["power_w"]["source"] == "counter"


async def test_use_counts_ended_and_running_attempts(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await finished_run(session)
    tag = (await api.viewer.get(f"/v1/runs/{run_id}/price-tag")).json()
    before = (await overview(api))["periods"]
    assert [period["period"] for period in before] == ["today", "month"]
    ended = {use["metric"]: use["used"]["value"] for use in before[1]["runs"]}
    assert ended["co2e_kg"] == pytest.approx(tag["co2e_kg"]["value"])
    async with api.database.session_scope() as session:
        await running_run(session, 5)
    after = (await overview(api))["periods"]
    for use, earlier in zip(after[1]["runs"], before[1]["runs"], strict=True):
        if use["metric"] == "cost":  # no tariff is configured
            assert (use["used"]["value"], use["expected"]) == (None, None)
            assert use["used"]["reason"] == "the use of 2 runs is unknown"
        else:
            assert use["used"]["value"] > earlier["used"]["value"]
            assert use["expected"]["value"] >= use["used"]["value"]


async def test_running_attempts_without_readings_are_unknown_today_too(api: Api) -> None:
    async with api.database.session_scope() as session:
        await claimed(session, (await make_run(session)).id)
    for period in (await overview(api))["periods"]:
        for use in period["runs"]:
            assert (use["used"]["value"], use["unknown_runs"]) == (None, 1), period["period"]
            assert use["used"]["reason"] == "the use of 1 run is unknown"


async def test_budgets_are_in_the_order_in_which_they_break(api: Api) -> None:
    async with api.database.session_scope() as session:
        await finished_run(session)
    await make_budget(api, name="wide", scope="lab", amount=1000)
    await make_budget(api, name="used up", scope="lab", amount=1e-9)
    await make_budget(api, name="part", scope="lab", amount=0.01)
    read = await overview(api)
    assert [each["budget"]["name"] for each in read["budgets"]] == ["used up", "part", "wide"]
    assert read["budgets"][0]["crossing"]["reason"] == "the limit has already been reached"


async def test_runs_and_budgets_of_hidden_projects_are_not_listed(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 5)
        await session.execute(update(Project).values(visibility="private"))
        name = await session.scalar(Project.__table__.select().with_only_columns(Project.name))
    await make_budget(api, name="secret", scope="project", project=name, amount=1)
    report(api, "node", **{GPU: 300})
    read = await overview(api)
    assert (read["running"], read["running_count"], read["budgets"]) == ([], 0, [])
    assert read["is_new"]
    power = (await api.viewer.get("/v1/power")).json()
    assert str(run_id) not in json.dumps(power)
    seen = (await api.admin.get("/v1/overview")).json()
    assert [each["run"]["id"] for each in seen["running"]] == [str(run_id)]
    assert [each["budget"]["name"] for each in seen["budgets"]] == ["secret"]


async def test_failed_runs_come_with_their_cost_and_running_ones_with_their_end(api: Api) -> None:
    async with api.database.session_scope() as session:
        failed, runs = await finished_run(session), await running_run(session, 5)
        await session.execute(update(Run).where(Run.id == failed).values(status="failed"))
    read = await overview(api)
    [failure], [running] = read["failures"], read["running"]
    assert (failure["run"]["id"], running["run"]["id"]) == (str(failed), str(runs))
    assert failure["cost"]["value"] is not None or failure["cost"]["reason"]
    assert running["expected_end"]["at"] is None
    assert running["expected_end"]["reason"]


async def test_idle_accelerators_cost_their_idle_power_at_the_sites_price(api: Api) -> None:
    async with api.database.session_scope() as session:
        await execution.register_node(
            session,
            name="n1",
            pool="default",
            devices=[{"uuid": "GPU-1", "name": "H200"}, {"uuid": "GPU-2", "name": "H200"}],
            capabilities={},
            place="here",
        )
        await waiting.announce(session, "w1", "n1", Offer("default", 2, 0, False))
        session.add(
            Baseline(
                node_name="n1",
                component="gpu:GPU-1",
                state="P8",
                power_w=100.0,
                power_std_w=1.0,
                duration_s=60.0,
                source="counter",
            )
        )
    read = await overview(api)
    measured, unmeasured = read["idle"]
    [site] = read["sites"]
    assert measured["idle_w"]["value"] == 100.0
    assert measured["energy_per_day"]["value"] == pytest.approx(2.4 * site["pue"]["value"])
    assert unmeasured["idle_w"]["reason"] == "its idle power was not measured yet"
    assert unmeasured["cost_per_day"]["value"] is None
    if site["tariff"] is None:
        assert measured["cost_per_day"]["reason"] == site["tariff_reason"]
    total, cost = read["idle_cost_per_day"], measured["cost_per_day"]
    assert (total["value"], total["unit"]) == (cost["value"], cost["unit"])
    assert total["reason"] == (
        cost["reason"] if cost["value"] is None else "at least: the cost of 1 device is unknown"
    )


async def test_the_grid_of_a_site_has_its_last_24_hours_with_gaps(api: Api) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    await make_site(api, "hall", grid_zone="DE")
    await make_site(api, "nowhere", grid_zone="FR")
    hours = [(hour - timedelta(hours=ago), 100.0 + ago) for ago in range(1, 25) if ago != 5]
    rows = [(at.isoformat(), value) for at, value in hours]
    await posted(api, "/v1/carbon/import", series("DE", hours_csv(*rows)))
    hall, nowhere = (await overview(api))["sites"]
    assert datetime.fromisoformat(hall["carbon_start"]) == hour - timedelta(hours=24)
    expected = [None if ago == 5 else 100.0 + ago for ago in range(24, 0, -1)]
    assert hall["carbon_hours"] == expected
    assert nowhere["carbon_hours"] == [None] * 24
    assert hall["forecast_hours"] == [None] * 24
    assert "no forecast of these hours is stored" in hall["forecast_reason"]
    page = await api.viewer.get("/", headers={"Accept": "text/html"})
    assert "101 to 124 g/kWh, 23 of 24 hours recorded" in page.text
    assert page.text.count('class="strip-used"') == 23
    assert "none of the last 24 hours is recorded" in page.text


async def test_a_cpu_node_without_a_run_idles_with_all_its_components(api: Api) -> None:
    async with api.database.session_scope() as session:
        for name in ("n1", "n2"):
            await execution.register_node(
                session, name=name, pool="default", devices=[], capabilities={}, place="here"
            )
            await waiting.announce(session, f"w-{name}", name, Offer("default", 0, 4, False))
        now = datetime.now(UTC)
        for component, state, power_w, source, age_h in (
            ("cpu", "old", 90.0, "counter", 5),
            ("cpu", "new", 40.0, "counter", 1),
            ("ram", "", 10.0, "modelled", 1),
        ):
            session.add(
                Baseline(
                    node_name="n1",
                    component=component,
                    state=state,
                    power_w=power_w,
                    power_std_w=None,
                    duration_s=60.0,
                    source=source,
                    measured_at=now - timedelta(hours=age_h),
                )
            )
    read = await overview(api)
    measured, unmeasured = read["idle"]
    [site] = read["sites"]
    assert (measured["node"], measured["component"], measured["name"]) == ("n1", "host", "CPU node")
    assert (measured["idle_w"]["value"], measured["idle_w"]["source"]) == (50.0, "modelled")
    assert measured["energy_per_day"]["value"] == pytest.approx(1.2 * site["pue"]["value"])
    assert unmeasured["idle_w"]["reason"] == "its idle power was not measured yet"
    page = await api.viewer.get("/", headers={"Accept": "text/html"})
    assert "Idle accelerators and CPU nodes" in page.text
    assert "2 devices" in page.text


async def test_a_cpu_node_with_a_run_is_not_idle(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 10)
        attempt = await session.scalar(select(Attempt).where(Attempt.run_id == run_id))
        assert attempt is not None
        name = attempt.node_name
        await execution.register_node(
            session, name=name, pool="default", devices=[], capabilities={}, place="here"
        )
        await waiting.announce(session, "w-cpu", name, Offer("default", 0, 4, False))
    assert (await overview(api))["idle"] == []


async def test_a_worker_that_missed_reports_is_late_before_it_is_gone(api: Api) -> None:
    async with api.database.session_scope() as session:
        await waiting.announce(session, "w1", "n1", Offer("default", 1, 0, False))
        await waiting.announce(session, "w2", "n2", Offer("default", 1, 0, False))
        silent = WorkerProcess.last_seen_at - timedelta(seconds=waiting.LATE_S + 1)
        await session.execute(
            update(WorkerProcess).where(WorkerProcess.identity == "w2").values(last_seen_at=silent)
        )
        session.add(Node(name="n2", pool="default"))
    [pool] = (await api.viewer.get("/v1/queue")).json()["pools"]
    assert (pool["workers"], pool["workers_late"]) == (2, 1)
    assert [(each["node"], each["late"]) for each in pool["heard"]] == [("n2", True), ("n1", False)]
    [node] = [n for n in (await api.viewer.get("/v1/nodes")).json()["items"] if n["name"] == "n2"]
    assert [worker["late"] for worker in node["workers"]] == [True]


async def test_several_readers_share_one_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "FRESH_S", 3600.0)
    first = await overview(api)
    await api.post_run()
    second = await overview(api)
    assert (second["at"], second["periods"]) == (first["at"], first["periods"])
    assert (first["is_new"], second["is_new"]) == (True, False)  # the caller's own part is new


async def test_many_who_look_at_once_do_not_take_all_connections(committed_api: Api) -> None:
    api = committed_api
    responses = await asyncio.gather(*(api.viewer.get("/v1/overview") for _ in range(40)))
    assert {response.status_code for response in responses} == {200}
