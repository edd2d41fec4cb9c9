"""The lab's account: total = charged + running + unallocated + undecided, in every case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.db import Session
from app.services.energy.node_hours import book_node_hours
from pricetag.accounting.units import joules_to_kwh
from tests.support.energy_hours import (
    GPU,
    HOUR,
    NOON,
    account,
    charge,
    ended_attempt,
    joules,
    node_hour,
    open_attempt,
)


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


async def test_the_rest_is_unknown_without_the_node_s_own_meter(session: Session) -> None:
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
    document = await account(session, "hour", stop=NOON + 2 * HOUR, now=now)
    before, present = document["items"]
    assert (before["flags"], present["flags"]) == ([], flags)
    assert joules(before, "unallocated") == pytest.approx(500_000)
    assert joules(present, "charged") == pytest.approx(9_000)
    assert (joules(present, "unallocated") is None) == bool(flags)
    late = "is not in yet" in (present["unallocated_kwh"]["reason"] or "")
    assert late == (flags == ["node_total_awaited"])
    assert document["total"]["flags"] == flags
    await book_node_hours(session, "node", [node_hour(GPU, NOON + HOUR, 10_000.0, 40.0)])
    item = (await account(session, "hour", stop=NOON + 2 * HOUR, now=now))["items"][1]
    assert joules(item, "unallocated") == pytest.approx(1_000)
    assert item["flags"] == []


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
    assert total["overallocated_kwh"] == pytest.approx(joules_to_kwh(600_000))  # ... but is stated
    assert total["flags"] == ["overallocated"]
    by_component = {
        item["component"]: item for item in (await account(session, "component"))["items"]
    }
    over = by_component[GPU]["unallocated_kwh"]
    assert over["value"] == pytest.approx(joules_to_kwh(-600_000))
    assert over["low"] <= over["value"] <= over["high"] < 0


async def test_edges_of_two_meters_are_not_flagged_as_overallocated(session: Session) -> None:
    attempt = await ended_attempt(session)
    charge(session, attempt, GPU, NOON, 1_000_300.0, 3600.0)
    await book_node_hours(session, "node", [node_hour(GPU, NOON, 1_000_000.0, 3600.0)])
    total = (await account(session))["total"]
    assert joules(total, "unallocated") == pytest.approx(-300)
    assert (total["flags"], total["overallocated_kwh"]) == ([], 0)


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
    assert joules(total, "undecided") == pytest.approx(50_000)  # it has not reported that hour
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
