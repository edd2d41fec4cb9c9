"""The lab's account: total = charged + running + unallocated + undecided, whatever happened."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from app.db import Session
from app.schemas.common import Role
from app.services.energy import account as energy_account
from app.services.energy.node_hours import NodeHour, book_node_hours
from models import Attempt, EnergyHour, Project, Run, User
from pricetag.accounting.units import joules_to_kwh
from tests.support.api import Api, a_principal, fields, problem
from tests.support.executions import claimed, make_run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = NOON + timedelta(days=3)
GPU = "gpu:GPU-1"

KINDS: dict[str, tuple[Any, ...]] = {
    GPU: ("gpu", "NVIDIA H200", "counter", 0.05),
    "gpu:GPU-2": ("gpu", "NVIDIA H200", "integrated", 0.05),
    "cpu": ("cpu", "AMD EPYC", "modelled", 0.45),
}


def node_hour(component: str, hour: datetime, energy_j: float, covered_s: float) -> NodeHour:
    kind, name, method, gain = KINDS[component]
    return NodeHour(component, name, kind, method, gain, hour, energy_j, covered_s)


async def ended_attempt(session: Session, node: str = "node", project: str = "") -> UUID:
    run = await make_run(session)
    if project:
        found = await session.get_one(Project, run.project_id)
        found.name = project
    taken = await claimed(session, run.id)
    attempt = await session.get_one(Attempt, taken.attempt_id)
    attempt.node_name = node
    attempt.ended_at = datetime.now(UTC)
    attempt.status = "succeeded"
    await session.flush()
    return attempt.id


def charge(
    session: Session,
    attempt_id: UUID,
    component: str,
    hour: datetime,
    energy_j: float,
    covered_s: float,
    node: str = "node",
) -> None:
    kind, name, method, gain = KINDS[component]
    session.add(
        EnergyHour(
            node_name=node,
            component=component,
            name=name,
            kind=kind,
            method=method,
            gain_std_ratio=gain,
            hour=hour,
            attempt_id=attempt_id,
            energy_j=energy_j,
            covered_s=covered_s,
        )
    )


async def account(
    session: Session, by: str = "node", *, role: Role = "admin", **more: Any
) -> dict[str, Any]:
    asked = {"start": NOON, "stop": NOON + 24 * HOUR, "node": None, "now": NOW} | more
    found = await energy_account.energy_account(
        session, await a_principal(session, role), by=cast(Any, by), **asked
    )
    return found.model_dump(mode="json", by_alias=True)


def joules(figures: dict[str, Any], name: str) -> float | None:
    value = figures[f"{name}_kwh"]["value"]
    return None if value is None else value * 3.6e6


async def test_energy_charged_to_no_run_belongs_to_the_node(session: Session) -> None:
    one, other = await ended_attempt(session), await ended_attempt(session)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 1_000_000.0, 3600.0)])
    charge(session, one, GPU, NOON, 300_000.0, 1800.0)
    charge(session, other, GPU, NOON, 200_000.0, 900.0)
    await session.flush()
    total = (await account(session))["total"]
    assert joules(total, "total") == pytest.approx(1_000_000)
    assert joules(total, "charged") == pytest.approx(500_000)
    assert joules(total, "unallocated") == pytest.approx(500_000)
    assert joules(total, "undecided") == 0
    assert (total["flags"], total["overallocated_kwh"]) == ([], 0)
    half = 1.959964 * 0.05
    assert total["total_kwh"] == {
        "value": pytest.approx(1 / 3.6),
        "low": pytest.approx((1 - half) / 3.6),
        "high": pytest.approx((1 + half) / 3.6),
        "unit": "kWh",
        "source": "counter",
        "reason": None,
    }


async def test_without_the_nodes_own_meter_the_rest_is_unknown(session: Session) -> None:
    attempt = await ended_attempt(session)
    charge(session, attempt, GPU, NOON, 300_000.0, 1800.0)
    await session.flush()
    total = (await account(session))["total"]
    assert joules(total, "total") == pytest.approx(300_000)
    assert joules(total, "unallocated") is None
    assert "own meter did not run" in total["unallocated_kwh"]["reason"]
    assert total["flags"] == ["node_not_metered"]


@pytest.mark.parametrize(
    ("since", "told_s", "flags"),
    [
        (59, None, ["node_total_awaited"]),
        (61, None, ["node_not_metered"]),
        (85, 26.0, ["node_total_awaited"]),
        (87, 26.0, ["node_not_metered"]),
        (59, 29.0, []),
    ],
)
async def test_a_node_has_a_minute_to_report_its_energy(
    since: int, told_s: float | None, flags: list[str], session: Session
) -> None:
    attempt = await ended_attempt(session)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 500_000.0, 3600.0)])
    charge(session, attempt, GPU, NOON + HOUR, 9_000.0, 30.0)
    if told_s is not None:
        early = node_hour(GPU, NOON + HOUR, 300.0 * told_s, told_s)
        await book_node_hours(session, "node", [early])
    await session.flush()
    now = NOON + HOUR + timedelta(seconds=since)
    found = await account(session, "hour", stop=NOON + 2 * HOUR, now=now)
    before, present = found["items"]
    assert (before["flags"], present["flags"]) == ([], flags)
    assert joules(before, "unallocated") == pytest.approx(500_000)
    assert joules(present, "charged") == pytest.approx(9_000)
    assert (joules(present, "unallocated") is None) == bool(flags)
    late = "is not in yet" in (present["unallocated_kwh"]["reason"] or "")
    assert late == (flags == ["node_total_awaited"])
    assert found["total"]["flags"] == flags
    await book_node_hours(session, "node", [node_hour(GPU, NOON + HOUR, 10_000.0, 40.0)])
    told = (await account(session, "hour", stop=NOON + 2 * HOUR, now=now))["items"][1]
    assert joules(told, "unallocated") == pytest.approx(1_000)
    assert told["flags"] == []


async def test_a_node_meter_that_saw_less_than_a_run_leaves_the_rest_unknown(
    session: Session,
) -> None:
    attempt = await ended_attempt(session)
    charge(session, attempt, GPU, NOON, 300_000.0, 1800.0)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 10_000.0, 60.0)])
    total = (await account(session))["total"]
    assert joules(total, "total") == pytest.approx(300_000)
    assert joules(total, "unallocated") is None
    assert total["flags"] == ["node_not_metered"]


async def test_settled_hours_count_beside_unsettled_ones(session: Session) -> None:
    attempt = await ended_attempt(session)
    for hour in (NOON, NOON + HOUR):
        charge(session, attempt, GPU, hour, 300_000.0, 1800.0)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 400_000.0, 3600.0)])
    total = (await account(session))["total"]
    assert joules(total, "unallocated") == pytest.approx(100_000)
    assert total["unallocated_kwh"]["reason"] == (
        "without component-hours of 2: 1 in which the node's own meter did not run throughout"
    )


async def test_charges_beyond_the_device_are_shown_and_flagged(session: Session) -> None:
    attempts = [await ended_attempt(session) for _ in range(2)]
    for attempt in attempts:
        charge(session, attempt, GPU, NOON, 800_000.0, 3600.0)
    rows = [
        node_hour(GPU, NOON, 1_000_000.0, 3600.0),
        node_hour("gpu:GPU-2", NOON, 900_000.0, 3600.0),
    ]
    await book_node_hours(session, "node", rows)
    total = (await account(session))["total"]
    assert joules(total, "unallocated") == pytest.approx(300_000)  # it nets out ...
    assert total["overallocated_kwh"] == pytest.approx(joules_to_kwh(600_000))  # ... but is told
    assert total["flags"] == ["overallocated"]
    found = {item["component"]: item for item in (await account(session, "component"))["items"]}
    over = found[GPU]["unallocated_kwh"]
    assert over["value"] == pytest.approx(joules_to_kwh(-600_000))
    assert over["low"] <= over["value"] <= over["high"] < 0


async def test_edges_of_two_meters_are_not_flagged_as_overallocated(session: Session) -> None:
    attempt = await ended_attempt(session)
    charge(session, attempt, GPU, NOON, 1_000_300.0, 3600.0)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 1_000_000.0, 3600.0)])
    total = (await account(session))["total"]
    assert joules(total, "unallocated") == pytest.approx(-300)
    assert (total["flags"], total["overallocated_kwh"]) == ([], 0)


async def open_attempt(session: Session, started_at: datetime, node: str = "node") -> Attempt:
    run = await make_run(session)
    taken = await claimed(session, run.id)
    attempt = await session.get_one(Attempt, taken.attempt_id)
    attempt.started_at = started_at
    attempt.node_name = node
    attempt.components = [{"id": GPU}]
    await session.flush()
    return attempt


async def test_an_hour_that_a_running_run_has_not_reported_is_undecided(session: Session) -> None:
    await open_attempt(session, NOON + timedelta(hours=1, minutes=20))
    rows = [node_hour(GPU, NOON + count * HOUR, 100_000.0, 3600.0) for count in range(3)]
    rows.append(node_hour("cpu", NOON + HOUR, 7_000.0, 3600.0))
    await book_node_hours(session, "node", rows)
    await book_node_hours(session, "other", [node_hour(GPU, NOON + HOUR, 1_000.0, 3600.0)])
    total = (await account(session))["total"]
    assert joules(total, "undecided") == pytest.approx(200_000)
    assert joules(total, "unallocated") == pytest.approx(108_000)
    assert total["flags"] == ["runs_open"]
    assert "2 for which open runs have not reported yet" in total["unallocated_kwh"]["reason"]


async def test_the_charge_of_a_running_run_decides_its_hours_provisionally(
    session: Session,
) -> None:
    going = await open_attempt(session, NOON)
    done = await ended_attempt(session)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 1_000_000.0, 1800.0)])
    await book_node_hours(session, "node", [node_hour(GPU, NOON + HOUR, 50_000.0, 60.0)])
    charge(session, done, GPU, NOON, 300_000.0, 900.0)
    charge(session, going.id, GPU, NOON, 200_000.0, 1800.0)
    await session.flush()
    total = (await account(session))["total"]
    assert joules(total, "charged") == pytest.approx(300_000)
    assert joules(total, "running") == pytest.approx(200_000)
    assert joules(total, "unallocated") == pytest.approx(500_000)
    assert joules(total, "undecided") == pytest.approx(50_000)  # it told nothing of that hour
    assert "provisional in 1 component-hours of 2" in total["unallocated_kwh"]["reason"]
    *runs, rest = (await account(session, "project"))["items"]
    sums = [(joules(item, "charged"), joules(item, "running")) for item in runs]
    assert sorted(sums) == [(0, pytest.approx(200_000)), (pytest.approx(300_000), 0)]
    assert joules(rest, "total") == pytest.approx(550_000)
    assert (joules(rest, "charged"), joules(rest, "running")) == (0, 0)
    going.ended_at = datetime.now(UTC)
    await session.flush()
    total = (await account(session))["total"]
    assert (joules(total, "running"), joules(total, "undecided")) == (0, 0)
    assert joules(total, "charged") == pytest.approx(500_000)


async def test_the_nodes_totals_may_come_later_than_a_runs(session: Session) -> None:
    going = await open_attempt(session, NOON)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 100_000.0, 150.0)])
    charge(session, going.id, GPU, NOON, 120_000.0, 180.0)
    await session.flush()
    total = (await account(session))["total"]
    assert joules(total, "total") == joules(total, "running") == pytest.approx(120_000)
    assert (joules(total, "unallocated"), total["overallocated_kwh"]) == (0, 0)
    assert total["flags"] == ["runs_open"]


async def test_a_node_meter_that_began_long_after_a_run_leaves_the_rest_unknown(
    session: Session,
) -> None:
    going = await open_attempt(session, NOON)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 100_000.0, 150.0)])
    charge(session, going.id, GPU, NOON, 1_200_000.0, 1800.0)
    await session.flush()
    total = (await account(session))["total"]
    assert joules(total, "total") == pytest.approx(1_200_000)
    assert joules(total, "unallocated") is None
    assert "own meter did not run" in total["unallocated_kwh"]["reason"]


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
        known = [*self.charges, *([] if self.running is None else [self.running])]
        longest_s = max((covered_s for _, covered_s in known), default=0.0)
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
        found = await account(session, by)
        for rows in ([found["total"]], found["items"]):
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
    found = await account(session)
    assert found["items"] == []
    assert found["total"]["total_kwh"]["value"] is None
    assert found["total"]["total_kwh"]["reason"] == "nothing was metered in this time"


async def test_a_viewer_reads_the_account(api: Api) -> None:
    async with api.database.session_scope() as session:
        await book_node_hours(session, "node", [node_hour("cpu", NOON, 3.6e6, 3600.0)])
    answer = await api.viewer.get(
        "/v1/energy",
        params={"from": NOON.isoformat(), "to": (NOON + HOUR).isoformat(), "by": "component"},
    )
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["from"], found["to"], found["by"]) == (
        *("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"),
        "component",
    )
    [item] = found["items"]
    assert (item["node"], item["component"], item["kind"]) == ("node", "cpu", "cpu")
    assert item["total_kwh"]["value"] == pytest.approx(1.0)
    assert item["total_kwh"]["source"] == "modelled"
    assert (await api.nobody.get("/v1/energy")).status_code == 401


async def test_the_default_range_is_the_last_week(api: Api) -> None:
    found = (await api.viewer.get("/v1/energy")).json()
    start, stop = (datetime.fromisoformat(found[name]) for name in ("from", "to"))
    assert stop - start == timedelta(days=7)
    assert timedelta(0) < stop - datetime.now(UTC) <= HOUR


@pytest.mark.parametrize(
    ("params", "field", "said"),
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
        ({"to": "0001-01-01T00:00:00Z"}, "to", "too early"),
    ],
)
async def test_an_invalid_range_is_rejected_with_its_field(
    api: Api, params: dict[str, str], field: str, said: str
) -> None:
    document = problem(
        await api.viewer.get("/v1/energy", params=params), 422, "invalid-energy-range"
    )
    assert fields(document) == [field]
    assert said in document["detail"]


async def test_a_time_beyond_the_calendar_is_rejected(api: Api) -> None:
    params = {"from": "0001-01-01T00:00:00+14:00"}
    document = problem(await api.viewer.get("/v1/energy", params=params), 422, "invalid-request")
    assert fields(document) == ["from"]


async def test_an_unknown_node_is_rejected(api: Api) -> None:
    document = problem(
        await api.viewer.get("/v1/energy", params={"node": "nobody"}), 404, "node-not-found"
    )
    assert "There is no node 'nobody'." in document["detail"]


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
