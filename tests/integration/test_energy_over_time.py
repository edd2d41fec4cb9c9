"""The energy account over time, scope 2 emissions, and what a project or user used."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.db import Session
from app.services.energy.node_hours import book_node_hours
from app.services.energy.over_time import fitting
from app.services.energy.rollups import fold_pending
from models import Attempt, Project, Run, User
from tests.support.api import Api, fields, problem, running_run
from tests.support.energy_hours import (
    GPU,
    HOUR,
    NOON,
    charge,
    ended_attempt,
    node_hour,
)
from tests.support.entries import enter, hours_csv, make_site, posted, series
from tests.support.quoted import trained

KWH = 3.6e6
DAYS = 3
RANGE = {"from": NOON.isoformat(), "to": (NOON + timedelta(days=DAYS)).isoformat()}
GROUPS = {
    "use": ["charged to runs", "unallocated"],
    "node": ["b", "a"],
    "component": [f"b {GPU}", f"a {GPU}", "a cpu"],
    "site": ["hall", "(no site)"],
    "project": ["text", "(private projects)", "(not charged to runs)"],
    "user": ["ada", "(private projects)", "(not charged to runs)"],
}


async def fill(session: Session) -> None:
    """Three days on two nodes; half of the energy is charged, a fifth of it to a private run."""
    ada = User(name="ada", role="member")
    session.add(ada)
    await session.flush()
    attempts = []
    for project, visibility in (("text", "open"), ("secret", "private")):
        attempt_id = await ended_attempt(session, "b", project)
        run = await session.get_one(Run, (await session.get_one(Attempt, attempt_id)).run_id)
        run.created_by = ada.id
        (await session.get_one(Project, run.project_id)).visibility = visibility
        attempts.append(attempt_id)
    for day in range(DAYS):
        hour = NOON + timedelta(days=day)
        rows = {
            "a": [(GPU, 1.0), ("cpu", 0.5)],
            "b": [(GPU, 4.0)],
        }
        for node, components in rows.items():
            site = "hall" if node == "b" else None
            hours = [
                replace(node_hour(component, hour, energy * KWH, 3600.0), site=site)
                for component, energy in components
            ]
            await book_node_hours(session, node, hours)
        charge(session, attempts[0], GPU, hour, 1.6 * KWH, 1800.0, node="b")
        charge(session, attempts[1], GPU, hour, 0.4 * KWH, 900.0, node="b")
    await session.flush()


async def over_time(api: Api, **query: Any) -> dict[str, Any]:
    response = await api.viewer.get("/v1/energy/over-time", params={**RANGE, **query})
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.mark.parametrize("is_folded", [False, True])
async def test_parts_add_up_to_the_account_of_each_bucket(api: Api, is_folded: bool) -> None:
    async with api.database.session_scope() as session:
        await fill(session)
    if is_folded:
        async with api.database.session_scope() as session:
            assert await fold_pending(session)
    for grain, count in (("hour", DAYS), ("day", DAYS), ("month", 1)):
        query = {**RANGE, "by": grain}
        account = (await api.viewer.get("/v1/energy", params=query)).json()
        totals = [item["total_kwh"] for item in account["items"]]
        for by, names in GROUPS.items():
            shown = await over_time(api, by=by, grain=grain)
            assert [group["name"] for group in shown["groups"]] == names, by
            assert len(shown["buckets"]) == count
            assert [bucket["total_kwh"] for bucket in shown["buckets"]] == totals
            for bucket in shown["buckets"]:
                parts = [part["value"] for part in bucket["parts_kwh"]]
                assert sum(parts) == pytest.approx(bucket["total_kwh"]["value"])
                for part in bucket["parts_kwh"]:
                    assert part["low"] <= part["value"] <= part["high"]
                    assert part["source"] in ("counter", "modelled")
    by_project = await over_time(api, by="project", grain="month")
    parts = [part["value"] for part in by_project["buckets"][0]["parts_kwh"]]
    assert parts == pytest.approx([4.8, 1.2, 10.5])
    one_node = await over_time(api, by="component", grain="day", node="a")
    assert [group["name"] for group in one_node["groups"]] == [f"a {GPU}", "a cpu"]


async def test_the_smallest_of_many_groups_are_one(api: Api) -> None:
    async with api.database.session_scope() as session:
        for number in range(12):
            hour = node_hour(GPU, NOON, (number + 1) * KWH, 3600.0)
            await book_node_hours(session, f"n{number:02}", [hour])
    shown = await over_time(api, by="node")
    names = [group["name"] for group in shown["groups"]]
    assert names == [*(f"n{number:02}" for number in range(11, 5, -1)), "(all others)"]
    [bucket] = shown["buckets"]
    assert bucket["parts_kwh"][-1]["value"] == pytest.approx(sum(range(1, 7)))
    assert sum(part["value"] for part in bucket["parts_kwh"]) == pytest.approx(78)


def test_the_default_grain_gives_about_a_hundred_buckets() -> None:
    grains = [fitting(timedelta(days=days)) for days in (1, 4, 7, 92, 93, 3660)]
    assert grains == ["hour", "hour", "day", "day", "month", "month"]


async def test_a_range_too_long_for_the_grain_is_rejected(api: Api) -> None:
    for by, grain, days in (("use", "hour", 32), ("node", "hour", 8), ("user", "day", 93)):
        query = {"by": by, "grain": grain, "to": NOON.isoformat()}
        query["from"] = (NOON - timedelta(days=days)).isoformat()
        response = await api.viewer.get("/v1/energy/over-time", params=query)
        assert fields(problem(response, 422, "invalid-energy-range")) == ["grain"]
    unknown = await api.viewer.get("/v1/energy/over-time", params={"node": "z"})
    problem(unknown, 404, "node-not-found")


async def test_emissions_are_energy_times_the_factors_of_each_month(api: Api) -> None:
    await make_site(api, "hall", grid_zone="DE")
    await enter(api, "hall", "pue", 1.25)
    await enter(api, "hall", "carbon_location", 400)
    async with api.database.session_scope() as session:
        await fill(session)
    shown = (await api.viewer.get("/v1/energy/emissions", params=RANGE)).json()
    hall, other = shown["items"]
    assert (hall["site"], other["site"]) == ("hall", None)
    assert hall["it_energy_kwh"]["value"] == pytest.approx(12.0)
    assert hall["facility_energy_kwh"]["value"] == pytest.approx(15.0)
    assert hall["co2e_location_kg"]["value"] == pytest.approx(6.0)
    assert hall["co2e_market_kg"]["reason"].startswith("no market-based intensity")
    figure = hall["co2e_location_kg"]
    assert figure["low"] < figure["value"] < figure["high"]
    total = shown["total"]["co2e_location_kg"]
    for end in ("value", "low", "high"):
        parts = [site["co2e_location_kg"][end] for site in (hall, other)]
        assert total[end] == pytest.approx(sum(parts))
    assert shown["total"]["co2e_market_kg"]["value"] is None
    await enter(api, None, "carbon_market", 50)
    shown = (await api.viewer.get("/v1/energy/emissions", params=RANGE)).json()
    assert shown["items"][0]["co2e_market_kg"]["value"] == pytest.approx(0.75)
    assert shown["total"]["co2e_market_kg"]["value"] > 0.75


async def test_recorded_hours_are_the_months_intensity_as_far_as_they_reach(api: Api) -> None:
    await make_site(api, "hall", grid_zone="DE")
    await enter(api, "hall", "pue", 1.0)
    await enter(api, "hall", "carbon_location", 400)
    hours = [NOON + n * HOUR for n in range(36)]  # half of the range
    rows = [(hour.isoformat(), 200.0) for hour in hours]
    await posted(api, "/v1/carbon/import", series("DE", hours_csv(*rows)))
    later = hours_csv((hours[0].isoformat(), 560.0))  # the later import applies
    await posted(api, "/v1/carbon/import", series("DE", later))
    async with api.database.session_scope() as session:
        await fill(session)
    shown = (await api.viewer.get("/v1/energy/emissions", params=RANGE)).json()
    [month] = shown["items"][0]["months"]
    assert (month["recorded_hours"], month["hours"]) == (36, 72)
    assert month["carbon_location"]["value"] == pytest.approx(0.5 * 210 + 0.5 * 400)
    assert month["co2e_location_kg"]["value"] == pytest.approx(12.0 * 305 / 1000)
    assert "report of hall 2" in month["carbon_location"]["citation"]


async def test_a_site_is_shown_hour_by_hour_with_gaps_load_and_later_starts(api: Api) -> None:
    await make_site(api, "hall", grid_zone="DE")
    rows = []
    for n in range(72):
        if n not in (30, 31):
            clean = (NOON + n * HOUR).hour < 12
            rows.append(((NOON + n * HOUR).isoformat(), 100.0 if clean else 300.0))
    await posted(api, "/v1/carbon/import", series("DE", hours_csv(*rows)))
    async with api.database.session_scope() as session:
        await fill(session)
    query: dict[str, Any] = {**RANGE, "site": "hall", "duration_h": 1, "start_hour": 12}
    shown = (await api.viewer.get("/v1/carbon/hours", params=query)).json()
    assert (shown["zone"], len(shown["hours"])) == ("DEU", 72)
    assert shown["gaps"] == [{"first": (NOON + 30 * HOUR).isoformat()[:19] + "Z", "hours": 2}]
    assert [each["hours"] for each in shown["sources"]] == [70]
    assert shown["hours"][0] | {"hour": ""} == {
        "hour": "",
        "g_per_kwh": 300.0,
        "it_energy_kwh": pytest.approx(4.0),
    }
    assert shown["hours"][30]["g_per_kwh"] is None
    assert shown["load_mean"]["value"] == pytest.approx(300.0)
    assert 100 < shown["mean"]["value"] < 300
    by_delay = {each["delay_h"]: each for each in shown["later"]}
    assert shown["start_hour"] == 12
    saved = by_delay[12]  # from noon to midnight, on three days
    assert saved["saving_ratio"] == saved["low"] == saved["high"] == pytest.approx(2 / 3)
    assert by_delay[6]["starts"] == 2  # one of them reaches into the gap
    assert by_delay[6]["saving_ratio"] is None
    assert "no marginal intensities" in shown["marginal_reason"]
    assert "the coming hours may differ" in shown["forecast_reason"]
    nowhere = await api.viewer.get("/v1/carbon/hours", params={"site": "nowhere"})
    problem(nowhere, 404, "site-not-found")


async def test_a_project_and_a_user_have_an_account_of_what_the_caller_may_see(api: Api) -> None:
    async with api.database.session_scope() as session:
        await fill(session)

    async def account(client: Any, of: str, name: str, status: int = 200) -> dict[str, Any]:
        response = await client.get(f"/v1/{of}/{name}/account", params=RANGE)
        assert response.status_code == status, response.text
        return dict(response.json())

    text = await account(api.viewer, "projects", "text")
    assert text["energy_kwh"]["value"] == pytest.approx(4.8)
    assert [point["energy_kwh"]["value"] for point in text["points"]] == pytest.approx([1.6] * 3)
    assert text["before_kwh"]["value"] == 0
    assert text["change"]["difference_kwh"] == pytest.approx(4.8)
    assert text["change"]["is_larger_than_error"] is True
    assert (text["best"], text["attempts"], text["provisional"]) == (None, 0, False)
    assert "newest 50 succeeded runs" in text["best_reason"]
    await account(api.viewer, "projects", "secret", 404)
    assert (await account(api.admin, "projects", "secret"))["energy_kwh"]["value"] == (
        pytest.approx(1.2)
    )
    seen = (await account(api.viewer, "users", "ada"))["energy_kwh"]["value"]
    whole = (await account(api.admin, "users", "ada"))["energy_kwh"]["value"]
    assert (seen, whole) == (pytest.approx(4.8), pytest.approx(6.0))
    problem(await api.viewer.get("/v1/users/nobody/account"), 404, "user-not-found")


async def test_price_tags_failed_work_and_best_run_are_in_the_account(api: Api) -> None:
    await trained(api, name="a run")
    shown = (await api.viewer.get("/v1/projects/text/account")).json()
    assert shown["attempts"] == 1
    assert shown["failed"]["it_energy_kwh"] == 0
    assert shown["failed"]["by_status"]["succeeded"] > 0
    assert shown["co2e_kg"]["value"] > 0
    assert shown["co2e_kg"]["source"] is not None
    assert shown["facility_energy_kwh"]["unknown_attempts"] == 0
    assert shown["provisional"] is True  # this hour is not over
    [cost] = shown["costs"]  # no tariff is configured
    assert (cost["value"], cost["unknown_attempts"]) == (None, 1)
    assert cost["reason"] == "the value of 1 ended attempt is unknown"


async def test_sums_of_an_account_include_what_runs_now_so_far(api: Api) -> None:
    async with api.database.session_scope() as session:
        run_id = await running_run(session, 60)
        run = await session.get_one(Run, run_id)
        project = await session.get_one(Project, run.project_id)
        name = project.name
    shown = (await api.viewer.get(f"/v1/projects/{name}/account")).json()
    assert (shown["attempts"], shown["running_attempts"]) == (0, 1)
    facility = shown["facility_energy_kwh"]
    assert facility["value"] == facility["running"] > 0
    assert (facility["source"], facility["unknown_attempts"]) == ("estimated", 0)
    assert shown["co2e_kg"]["running"] > 0
    page = await api.viewer.get(f"/projects/{name}", headers={"Accept": "text/html"})
    assert "runs share meters and factors" in page.text
    assert "and 1 running attempt so far" in page.text
    past = {"from": "2026-01-01T00:00Z", "to": "2026-01-02T00:00Z"}
    earlier = (await api.viewer.get(f"/v1/projects/{name}/account", params=past)).json()
    assert earlier["running_attempts"] == 0
    assert earlier["facility_energy_kwh"]["value"] == 0


async def test_running_attempts_of_hidden_projects_are_not_in_a_users_account(api: Api) -> None:
    async with api.database.session_scope() as session:
        run = await session.get_one(Run, await running_run(session, 60))
        ada = User(name="ada", role="member")
        session.add(ada)
        await session.flush()
        run.created_by = ada.id
        (await session.get_one(Project, run.project_id)).visibility = "private"
    seen = (await api.viewer.get("/v1/users/ada/account")).json()
    whole = (await api.admin.get("/v1/users/ada/account")).json()
    assert (seen["running_attempts"], whole["running_attempts"]) == (0, 1)
    assert seen["facility_energy_kwh"]["value"] == 0
    assert whole["facility_energy_kwh"]["value"] > 0
