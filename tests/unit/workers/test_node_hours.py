"""Energy by the hour: split, bridged, kept, sent."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.metering.source import Component
from workers.node.hours import HOUR_S, NodeHours, Row, hours_between

T0 = datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp()
GPU = Component("gpu:a", "gpu", "Card", "counter", 0.05)
RAPL = Component("rapl:0", "cpu", "CPU", "counter", 0.05)


def book() -> NodeHours:
    hours = NodeHours()
    hours.meet(GPU)
    hours.meet(RAPL)
    return hours


def by_hour(rows: list[Row], component: str = "gpu:a") -> dict[int, tuple[float, float]]:
    return {
        round((row.hour.timestamp() - T0) / HOUR_S): (row.energy_j, row.covered_s)
        for row in rows
        if row.component == component
    }


def test_energy_goes_to_its_hours_evenly() -> None:
    hours = book()
    hours.add("gpu:a", T0 + 3000, T0 + 4200, energy_j=1200.0, covered_s=600.0, flags=["gap"])
    hours.add("gpu:a", T0 + 4200, T0 + 4300, energy_j=50.0, covered_s=100.0)
    rows = hours.changed()
    assert by_hour(rows) == {0: (600.0, 300.0), 1: (650.0, 400.0)}
    assert [row.flags for row in rows] == [("gap",), ("gap",)]
    assert (rows[0].name, rows[0].kind, rows[0].method) == ("Card", "gpu", "counter")


@given(
    edges=st.lists(st.floats(0, 5 * HOUR_S), min_size=2, max_size=20),
    power_w=st.floats(0.1, 1000.0),
)
def test_hours_add_up_however_the_time_is_cut(edges: list[float], power_w: float) -> None:
    edges = sorted(set(edges))
    hours = book()
    for start_s, end_s in pairwise(edges):
        span_s = end_s - start_s
        hours.add("gpu:a", start_s, end_s, energy_j=power_w * span_s, covered_s=span_s)
    whole_s = edges[-1] - edges[0]
    rows = hours.changed()
    assert sum(row.energy_j for row in rows) == pytest.approx(power_w * whole_s, rel=1e-9)
    assert all(row.covered_s <= HOUR_S + 1e-6 for row in rows)
    spans = dict(hours_between(edges[0], edges[-1]))
    covered_s = {int(row.hour.timestamp() // HOUR_S): row.covered_s for row in rows}
    assert covered_s == pytest.approx(spans)


def test_a_counter_that_continued_while_no_worker_ran_is_bridged() -> None:
    hours = book()
    hours.mark("gpu:a", T0 + 1800, 5000.0)
    assert hours.bridge("gpu:a", T0 + 9000, 12200.0) == pytest.approx(7200.0)
    rows = hours.changed()
    assert by_hour(rows) == {0: (1800.0, 1800.0), 1: (3600.0, 3600.0), 2: (1800.0, 1800.0)}
    assert all(row.flags == ("bridged",) for row in rows)
    assert hours.bridge("gpu:a", T0 + 9000, 12200.0) is None  # once


def test_a_counter_that_decreased_leaves_a_gap() -> None:
    hours = book()
    hours.mark("gpu:a", T0 + 1800, 5000.0)
    assert hours.bridge("gpu:a", T0 + 9000, 4000.0) is None
    rows = hours.changed()
    assert by_hour(rows) == {0: (0.0, 0.0), 2: (0.0, 0.0)}
    assert all(row.flags == ("gap",) for row in rows)


@pytest.mark.parametrize(
    ("gap_s", "counter_j", "expected_j"),
    [
        (60.0, 900.0, 900.0 + 262_000.0 - 261_000.0),  # wrapped once
        (60.0, 261_500.0, 500.0),
        (60.0, 200_000.0, None),  # would take more than 2 kW: it began again
        (131.5, 900.0, None),  # may have wrapped twice
    ],
)
def test_a_wrapping_counter_is_unrolled(
    gap_s: float, counter_j: float, expected_j: float | None
) -> None:
    hours = book()
    hours.mark("rapl:0", T0, 261_000.0 + 3 * 262_000.0)  # unwrapped three times before
    bridged_j = hours.bridge("rapl:0", T0 + gap_s, counter_j, wraps_at_j=262_000.0)
    assert bridged_j == (None if expected_j is None else pytest.approx(expected_j))


def test_state_outlives_the_process_but_marks_do_not_outlive_the_boot() -> None:
    hours = book()
    hours.add("gpu:a", T0, T0 + 10, energy_j=100.0, covered_s=10.0, flags=["lost"])
    hours.mark("gpu:a", T0 + 10, 5000.0)
    state = hours.as_dict("boot-1")
    same, other = NodeHours.from_dict(state, "boot-1"), NodeHours.from_dict(state, "boot-2")
    assert same.changed() == other.changed() == hours.changed()
    assert same.bridge("gpu:a", T0 + 20, 5300.0) == pytest.approx(300.0)
    assert other.bridge("gpu:a", T0 + 20, 5300.0) is None


def test_rows_are_sent_until_they_are_accepted_and_dropped_when_their_hour_is_over() -> None:
    hours = book()
    hours.add("gpu:a", T0, T0 + 10, energy_j=100.0, covered_s=10.0)
    rows = hours.changed()
    hours.add("gpu:a", T0 + 10, T0 + 20, energy_j=100.0, covered_s=10.0)  # while it was being sent
    hours.mark_shipped(rows, T0 + 20)
    assert by_hour(hours.changed()) == {0: (200.0, 20.0)}
    hours.mark_shipped(hours.changed(), T0 + 20)
    assert hours.changed() == []
    hours.add("gpu:a", T0 + 20, T0 + 30, energy_j=100.0, covered_s=10.0)
    assert by_hour(hours.changed()) == {0: (300.0, 30.0)}  # totals, not what is new
    hours.mark_shipped(hours.changed(), T0 + 3 * HOUR_S)
    assert hours.as_dict("b")["hours"] == []


@pytest.mark.parametrize("state", [{}, {"names": {"a": {"kind": "x"}}}])
def test_an_invalid_state_is_rejected(state: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        NodeHours.from_dict(state, "b")
