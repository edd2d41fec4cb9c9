"""Readings of counters that tick are aligned to the times at which they were taken."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.accounting.readings.alignment import align, update_period_s
from pricetag.accounting.readings.ledger import EnergyLedger, Reading

UPDATE_S = 0.1
POWER_W = 400.0


def counter_j(t_s: float, phase_s: float, power_w: float = POWER_W) -> float:
    """What a counter that ticks shows: what had been used up to its last update."""
    return power_w * (phase_s + UPDATE_S * math.floor((t_s - phase_s) / UPDATE_S + 1e-9) + 1.0)


def read(t_s: float, phase_s: float = 0.03, *flags: str) -> Reading:
    return Reading(t_s, counter_j(t_s, phase_s), POWER_W * t_s, POWER_W, flags)


def ticks_after(t_s: float, phase_s: float = 0.03, count: int = 2) -> list[Reading]:
    first = phase_s + UPDATE_S * math.ceil((t_s - phase_s) / UPDATE_S + 1e-9)
    return [read(first + n * UPDATE_S, phase_s, "tick") for n in range(count)]


def watched(edges_s: Sequence[float], phase_s: float = 0.03) -> list[Reading]:
    """Readings at edges that lie far apart, each with the ticks after it."""
    return [
        reading
        for edge_s in edges_s
        for reading in (read(edge_s, phase_s), *ticks_after(edge_s, phase_s))
    ]


@given(st.floats(0.0, 0.0999), st.floats(0.5, 0.7), st.floats(0.3, 40.0))
def test_at_steady_power_a_window_is_exact_wherever_its_edges_fall(
    phase_s: float, start_s: float, length_s: float
) -> None:
    end_s = start_s + length_s
    ledger = EnergyLedger(watched([0.0, start_s, end_s], phase_s))
    window = ledger.window(start_s, end_s)
    assert window.energy_j == pytest.approx(POWER_W * length_s, rel=1e-9)
    assert window.flags == ("edge_aligned",)
    assert window.covered_s == pytest.approx(length_s)


def test_without_ticks_nothing_changes() -> None:
    readings = [read(t / 10) for t in range(0, 50, 7)]
    assert align(readings) == readings
    assert "edge_aligned" not in EnergyLedger(readings).window(0.7, 2.1).flags


def test_one_aligned_edge_is_not_two() -> None:
    readings = [*watched([0.0, 1.04]), read(2.5)]
    assert "edge_aligned" in EnergyLedger(readings).window(0.0, 1.04).flags
    assert "edge_aligned" not in EnergyLedger(readings).window(1.04, 2.5).flags


def test_energy_within_a_tick_goes_by_time() -> None:
    """A tick brings 10 J, read 40 ms after the update before it."""
    readings = [
        Reading(0.0, 100.0, 0.0, None),
        Reading(0.02, 101.0, 0.0, None, ("tick",)),
        Reading(0.12, 111.0, 0.0, None, ("tick",)),
        Reading(0.16, 111.0, 0.0, None),
        Reading(0.22, 121.0, 0.0, None, ("tick",)),
        Reading(1.00, 199.0, 0.0, None),
    ]
    aligned = align(readings)
    assert [reading.t_s for reading in aligned] == [0.0, 0.16, 1.0]
    assert aligned[1].counter_j == pytest.approx(111.0 + 0.4 * 10.0)
    assert aligned[1].flags == ("edge_aligned",)
    assert aligned[2].counter_j == 199.0


def test_edges_within_one_tick_are_distinguished() -> None:
    readings = [*watched([0.0]), read(0.54), read(0.56), read(0.58), *ticks_after(0.58)]
    ledger = EnergyLedger(readings)
    for start_s, end_s in ((0.54, 0.56), (0.56, 0.58)):
        assert ledger.window(start_s, end_s).energy_j == pytest.approx(POWER_W * 0.02)


def test_a_missed_tick_is_inferred_from_the_late_one() -> None:
    """The edge's own tick was seen late; the next one came in time."""
    late = Reading(0.66, counter_j(0.66, 0.03), None, None, ("late_tick",))
    readings = [*watched([0.0]), read(0.61), late, read(0.73, 0.03, "tick"), read(2.0)]
    (edge,) = [reading for reading in align(readings) if reading.t_s == 0.61]
    assert edge.counter_j == pytest.approx(POWER_W * (0.61 + 1.0))


def test_an_edge_at_an_update_stays_within_its_tick() -> None:
    """Seen 5 ms late, the next update must not make two ticks of one."""
    readings = [
        *watched([0.0]),
        Reading(0.531, counter_j(0.531, 0.03), None, None),
        Reading(0.635, counter_j(0.635, 0.03), None, None, ("tick",)),
    ]
    edge = align(readings)[1]
    assert edge.counter_j == pytest.approx(counter_j(0.531, 0.03))
    assert "edge_aligned" in edge.flags


def test_a_counter_that_stood_still_for_longer_than_its_period_is_not_aligned() -> None:
    still = [Reading(t / 10, 500.0, 40.0 * t, POWER_W) for t in range(10, 16)]
    jump = Reading(1.53, 560.0, 40.0 * 15.3, POWER_W, ("tick",))
    readings = [*watched([0.0]), *still, jump, read(3.0)]
    for reading in align(readings)[1:5]:
        assert reading.counter_j == 500.0


@pytest.mark.parametrize(
    "between",
    [
        Reading(0.62, None, None, None, ("lost",)),
        Reading(0.62, 3.0, None, None),
    ],
)
def test_nothing_is_aligned_over_a_loss_or_a_reset(between: Reading) -> None:
    tick = Reading(0.63, 4.0, None, None, ("tick",))
    readings = [*watched([0.0]), read(0.61), between, tick, Reading(2.0, 90.0, None, None)]
    (edge,) = [reading for reading in align(readings) if reading.t_s == 0.61]
    assert edge == read(0.61)


def test_a_distant_tick_is_not_used() -> None:
    readings = [*watched([0.0]), read(0.61), read(2.03, 0.03, "tick")]
    assert align(readings)[1] == read(0.61)


def test_the_period_is_the_median_of_the_observed_ones() -> None:
    readings = [*watched([0.0, 1.0, 2.0]), *watched([3.0])]
    assert update_period_s(readings) == pytest.approx(UPDATE_S)
    assert update_period_s([read(0.0), read(1.0)]) is None


def test_a_last_tick_ends_the_trace() -> None:
    """A worker killed right after: what was used up to its last word is not forgotten."""
    readings = [*watched([0.0]), read(1.0), *ticks_after(1.0, count=1)]
    window = EnergyLedger(readings).window(0.0, 1.03)
    assert window.energy_j == pytest.approx(POWER_W * 1.03)
    assert window.covered_s == pytest.approx(1.03)
    assert window.flags == ()


@pytest.mark.parametrize("phase_s", [0.005, 0.03, 0.06, 0.095])
def test_a_stage_that_is_the_load_is_exact(phase_s: float) -> None:
    """Idle at 50 W, 650 W from 1 s to 3 s: shared by time the stage would lose up to 30 J."""

    def used_j(t_s: float) -> float:
        return 50.0 * t_s + 600.0 * min(max(t_s - 1.0, 0.0), 2.0)

    def seen(t_s: float, *flags: str) -> Reading:
        updated_s = phase_s + UPDATE_S * math.floor((t_s - phase_s) / UPDATE_S + 1e-9)
        return Reading(t_s, used_j(updated_s) + 9.0, used_j(t_s), None, flags)

    def edge(t_s: float) -> list[Reading]:
        first = phase_s + UPDATE_S * (math.floor((t_s - phase_s) / UPDATE_S) + 1)
        return [seen(t_s), seen(first, "tick"), seen(first + UPDATE_S, "tick")]

    readings = [*edge(0.0), seen(0.9), *edge(1.0), seen(2.1), *edge(3.0), seen(4.1)]
    window = EnergyLedger(readings).window(1.0, 3.0)
    assert window.energy_j == pytest.approx(1300.0, abs=1e-6)


@st.composite
def ticking(draw: st.DrawFn) -> list[Reading]:
    """Edges anywhere, two ticks seen after most; power changes at every update."""
    seed = draw(st.integers(0, 2**32))
    dice = random.Random(seed)
    phase_s = dice.uniform(0.0, UPDATE_S)
    edges_s = sorted(draw(st.lists(st.floats(0.0, 20.0), min_size=2, max_size=25, unique=True)))
    sums_j = [0.0]
    for _ in range(230):
        sums_j.append(sums_j[-1] + dice.uniform(5.0, 70.0))

    def seen(t_s: float, *flags: str) -> Reading:
        updates = max(math.floor((t_s - phase_s) / UPDATE_S + 1e-9) + 1, 0)
        return Reading(t_s, sums_j[updates], POWER_W * t_s, None, flags)

    edges = {edge_s: seen(edge_s) for edge_s in edges_s}
    for edge_s in edges_s:
        if dice.random() < 0.85:
            first = math.floor((edge_s - phase_s) / UPDATE_S) + 1
            for beat in (first, first + 1):
                tick_s = phase_s + beat * UPDATE_S
                edges[tick_s] = seen(tick_s, "tick")
    return [edges[t_s] for t_s in sorted(edges)]


@settings(max_examples=300)
@given(ticking())
def test_counters_stay_in_order_and_within_their_tick(readings: list[Reading]) -> None:
    aligned = align(readings)
    for before, after in pairwise(aligned):
        assert (before.counter_j or 0.0) <= (after.counter_j or 0.0) + 1e-9
    most_j = 70.0 + 1e-6
    raw = {reading.t_s: reading for reading in readings}
    for reading in aligned:
        moved_j = (reading.counter_j or 0.0) - (raw[reading.t_s].counter_j or 0.0)
        assert -1e-9 <= moved_j <= most_j
        assert ("edge_aligned" in reading.flags) or moved_j == 0.0


@settings(max_examples=300)
@given(ticking(), st.tuples(*[st.integers(0, 24)] * 3))
def test_windows_between_edges_add_up(
    readings: list[Reading], picked: tuple[int, int, int]
) -> None:
    edges_s = [reading.t_s for reading in readings if "tick" not in reading.flags]
    a, b, c = (edges_s[index % len(edges_s)] for index in sorted(i % len(edges_s) for i in picked))
    ledger = EnergyLedger(readings)
    first, second, whole = ledger.window(a, b), ledger.window(b, c), ledger.window(a, c)
    parts_j = (first.energy_j or 0.0) + (second.energy_j or 0.0)
    assert (whole.energy_j or 0.0) == pytest.approx(parts_j, rel=1e-9, abs=1e-9)


@settings(max_examples=200)
@given(st.lists(st.floats(0.05, 9.9), max_size=20), st.integers(0, 99))
def test_readings_in_between_change_no_window(extra_s: list[float], hundredth: int) -> None:
    """How often the meter also reads is nobody's energy."""
    phase_s = hundredth / 1000.0
    alone = watched([0.0, 2.04, 7.77], phase_s)
    among = sorted(
        [*alone, *(read(t_s, phase_s) for t_s in extra_s)],
        key=lambda reading: (reading.t_s, "tick" in reading.flags),
    )
    for start_s, end_s in ((0.0, 2.04), (2.04, 7.77), (0.0, 7.77)):
        expected_j = EnergyLedger(alone).window(start_s, end_s).energy_j
        found_j = EnergyLedger(among).window(start_s, end_s).energy_j
        assert found_j == pytest.approx(expected_j, rel=1e-9)


@settings(max_examples=100)
@given(ticking())
def test_the_sum_over_the_trace_moves_by_its_ends_alone(readings: list[Reading]) -> None:
    aligned = align(readings)
    ledger = EnergyLedger(readings)
    whole = ledger.window(readings[0].t_s, readings[-1].t_s)
    ends_j = (aligned[-1].counter_j or 0.0) - (aligned[0].counter_j or 0.0)
    assert whole.energy_j == pytest.approx(ends_j, rel=1e-9, abs=1e-9)
