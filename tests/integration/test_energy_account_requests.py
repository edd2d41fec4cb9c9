"""Requests for the lab's account: ranges, grouping, filters, and what others may see."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.db import Session
from app.services.energy.node_hours import book_node_hours
from models import Attempt, Project, Run, User
from tests.support.api import Api, fields, problem
from tests.support.energy_hours import (
    GPU,
    HOUR,
    KINDS,
    NOON,
    account,
    charge,
    ended_attempt,
    joules,
    node_hour,
    open_attempt,
)


@dataclass
class Slot:
    metered: tuple[float, float] | None
    charges: list[tuple[float, float]]
    running: tuple[float, float] | None
    may_run: bool

    def figures(self) -> tuple[float, ...]:
        """Total, charged, running, unallocated, undecided."""
        charged_j = sum(energy_j for energy_j, _ in self.charges)
        running_j = 0.0 if self.running is None else self.running[0]
        claimed_j = charged_j + running_j
        charges = [*self.charges, *([] if self.running is None else [self.running])]
        longest_s = max((covered_s for _, covered_s in charges), default=0.0)
        slack_s = 2 if self.running is None else 60
        metered_j, metered_s = self.metered or (0.0, -100.0)
        if metered_j < claimed_j and metered_s + slack_s < longest_s:
            return claimed_j, charged_j, running_j, 0.0, 0.0
        total_j = metered_j if self.running is None else max(metered_j, claimed_j)
        left_j = total_j - claimed_j
        silent = self.may_run and self.running is None
        return total_j, charged_j, running_j, *((0.0, left_j) if silent else (left_j, 0.0))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_sums_are_those_of_the_slots_for_every_filter_and_grouping(
    session: Session, seed: int
) -> None:
    draw = random.Random(seed)
    slots: dict[tuple[str, str, datetime], Slot] = {}
    projects: dict[str, float] = {}
    for node in ("a", "b"):
        attempts = {
            f"{node}{seed}{n}": await ended_attempt(session, node, f"{node}{seed}{n}")
            for n in range(3)
        }
        going = await open_attempt(session, NOON + 2 * HOUR, node)
        for component in KINDS:
            for count in range(4):
                hour = NOON + count * HOUR
                charges = []
                for project, attempt in attempts.items():
                    if draw.random() < 0.5:
                        one = (draw.uniform(0, 1e6), draw.uniform(0, 3600))
                        charge(session, attempt, component, hour, *one, node=node)
                        charges.append(one)
                        projects[project] = projects.get(project, 0.0) + one[0]
                may_run = component == GPU and count >= 2
                running = None
                if may_run and draw.random() < 0.6:
                    running = (draw.uniform(0, 1e6), draw.uniform(0, 3600))
                    charge(session, going.id, component, hour, *running, node=node)
                metered = (draw.uniform(0, 3e6), draw.uniform(0, 3600))
                if draw.random() < 0.8:
                    await book_node_hours(session, node, [node_hour(component, hour, *metered)])
                    slots[node, component, hour] = Slot(metered, charges, running, may_run)
                elif charges or running:
                    slots[node, component, hour] = Slot(None, charges, running, may_run)
    await session.flush()
    parts = [slot.figures() for slot in slots.values()]
    expected = [sum(part[which] for part in parts) for which in range(5)]
    assert expected[0] == pytest.approx(sum(expected[1:]), rel=1e-9)
    for by in ("node", "component", "hour"):
        document = await account(session, by)
        for rows in ([document["total"]], document["items"]):
            sums = [
                sum(joules(row, name) or 0.0 for row in rows)
                for name in ("total", "charged", "running", "unallocated", "undecided")
            ]
            assert sums == pytest.approx(expected, rel=1e-9)
    items = (await account(session, "project"))["items"]
    charged = {item["project"]: joules(item, "charged") for item in items[:-1]}
    assert {name: energy_j for name, energy_j in charged.items() if energy_j} == pytest.approx(
        projects, rel=1e-9
    )
    assert items[-1]["project"] is None
    assert sum(joules(item, "total") or 0.0 for item in items) == pytest.approx(
        expected[0], rel=1e-9
    )
    by_node = {item["node"]: joules(item, "total") for item in (await account(session))["items"]}
    one = (await account(session, node="a"))["total"]
    assert joules(one, "total") == pytest.approx(by_node["a"], rel=1e-9)


async def test_an_empty_sum_is_unknown_and_not_zero(session: Session) -> None:
    document = await account(session)
    assert document["items"] == []
    assert document["total"]["total_kwh"]["value"] is None
    assert document["total"]["total_kwh"]["reason"] == "nothing was metered in this time"


async def test_a_viewer_reads_the_account(api: Api) -> None:
    async with api.database.session_scope() as session:
        await book_node_hours(session, "node", [node_hour("cpu", NOON, 3.6e6, 3600.0)])
    response = await api.viewer.get(
        "/v1/energy",
        params={"from": NOON.isoformat(), "to": (NOON + HOUR).isoformat(), "by": "component"},
    )
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["from"], body["to"], body["by"]) == (
        *("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"),
        "component",
    )
    [item] = body["items"]
    assert (item["node"], item["component"], item["kind"]) == ("node", "cpu", "cpu")
    assert item["total_kwh"]["value"] == pytest.approx(1.0)
    assert item["total_kwh"]["source"] == "modelled"
    assert (await api.nobody.get("/v1/energy")).status_code == 401


async def test_the_default_range_is_the_last_week(api: Api) -> None:
    document = (await api.viewer.get("/v1/energy")).json()
    start, stop = (datetime.fromisoformat(document[name]) for name in ("from", "to"))
    assert stop - start == timedelta(days=7)
    assert timedelta(0) < stop - datetime.now(UTC) <= HOUR


@pytest.mark.parametrize(
    ("params", "field", "message"),
    [
        ({"from": "2026-03-01T12:30:00Z"}, "from", "e.g. 2026-03-01T12:00:00+00:00"),
        ({"to": "2026-03-01T12:00:00+05:30"}, "to", "must be a full hour"),
        (
            {"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
            "from",
            "must be before 'to'",
        ),
        (
            {"from": "9000-01-01T00:00:00Z", "to": "9000-01-02T00:00:00Z"},
            "from",
            "is in the future",
        ),
        (
            {"from": "2014-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            "from",
            "at most 3660 days",
        ),
        (
            {"from": "2025-01-01T00:00:00Z", "to": "2025-03-01T00:00:00Z", "by": "hour"},
            "from",
            "at most 31 days",
        ),
        ({"to": "0001-01-01T00:00:00Z"}, "to", "is before 2000-01-01"),
    ],
)
async def test_an_invalid_range_is_rejected_with_its_field(
    api: Api, params: dict[str, str], field: str, message: str
) -> None:
    document = problem(
        await api.viewer.get("/v1/energy", params=params), 422, "invalid-energy-range"
    )
    assert fields(document) == [field]
    assert message in document["detail"]


async def test_a_time_beyond_the_calendar_is_rejected(api: Api) -> None:
    params = {"from": "0001-01-01T00:00:00+14:00"}
    document = problem(await api.viewer.get("/v1/energy", params=params), 422, "invalid-request")
    assert fields(document) == ["from"]


async def test_an_unknown_node_is_rejected(api: Api) -> None:
    document = problem(
        await api.viewer.get("/v1/energy", params={"node": "nobody"}), 404, "node-not-found"
    )
    assert "Node 'nobody' not found" in document["detail"]


async def test_days_and_months_are_those_of_utc_and_add_up(session: Session) -> None:
    begin = datetime(2026, 1, 30, 22, tzinfo=UTC)
    for count in range(52):
        row = node_hour(GPU, begin + count * HOUR, 1000.0 + count, 3600.0)
        await book_node_hours(session, "node", [row])
    span: dict[str, Any] = {"start": begin, "stop": begin + 50 * HOUR}
    days = (await account(session, "day", **span))["items"]
    assert [item["day"] for item in days] == ["2026-01-30", "2026-01-31", "2026-02-01"]
    assert [joules(item, "total") for item in days] == pytest.approx(
        [2001, 24 * 1013.5, 24 * 1037.5]
    )
    months = (await account(session, "month", **span))["items"]
    assert [item["month"] for item in months] == ["2026-01", "2026-02"]
    assert [joules(item, "total") for item in months] == pytest.approx(
        [2001 + 24 * 1013.5, 24 * 1037.5]
    )
    assert months[0]["day"] is months[0]["hour"] is months[0]["node"] is None


async def test_sites_are_those_of_the_hours(session: Session) -> None:
    for node, site, energy_j in (("a", "hall", 1000.0), ("b", "hall", 200.0), ("c", None, 30.0)):
        row = replace(node_hour("cpu", NOON, energy_j, 3600.0), site=site)
        await book_node_hours(session, node, [row])
    items = (await account(session, "site"))["items"]
    assert [item["site"] for item in items] == ["hall", None]
    assert [joules(item, "total") for item in items] == pytest.approx([1200.0, 30.0])


async def test_by_user_private_projects_are_one_item(session: Session) -> None:
    ada = User(name="ada", role="member")
    session.add(ada)
    await session.flush()
    charges = (("open", ada.id, 1000.0), ("open", None, 200.0), ("private", ada.id, 30.0))
    for visibility, user_id, energy_j in charges:
        attempt_id = await ended_attempt(session)
        attempt = await session.get_one(Attempt, attempt_id)
        run = await session.get_one(Run, attempt.run_id)
        run.created_by = user_id
        (await session.get_one(Project, run.project_id)).visibility = visibility
        charge(session, attempt_id, GPU, NOON, energy_j, 900.0)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 5000.0, 3600.0)])
    await session.flush()
    items = (await account(session, "user", role="viewer"))["items"]
    users = ["ada", "(no user)", "(private projects)", None]
    assert [item["user"] for item in items] == users
    energies_j = [joules(item, "total") for item in items]
    assert energies_j == pytest.approx([1000.0, 200.0, 30.0, 3770.0])
    assert items[0]["unallocated_kwh"]["reason"].endswith("not to a user")
    assert joules(items[-1], "unallocated") == pytest.approx(3770.0)
