"""Properties of every trace: windows add up, grow and are never negative."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.accounting.readings.ledger import EnergyLedger, Method, Reading
from pricetag.accounting.readings.step_energy import book

POWER_W = st.floats(0, 700)
STEP_S = st.floats(0.05, 8)
EVENTS = st.sampled_from(
    ["ok", "ok", "ok", "ok", "still", "reset", "blind", "silent", "lost", "gap"]
)


@st.composite
def traces(draw: st.DrawFn) -> list[Reading]:
    """A trace in which the counter ticks, stops, resets or disappears at every step."""
    t_s, counter_j, integral_j = 0.0, 1_000.0, 0.0
    readings = [Reading(t_s, counter_j, integral_j, None)]
    for event in draw(st.lists(EVENTS, min_size=2, max_size=30)):
        step_s, power_w = draw(STEP_S), draw(POWER_W)
        t_s += step_s
        integral_j += power_w * step_s
        if event == "reset":
            counter_j = 0.0
        elif event != "still":
            counter_j += power_w * step_s * draw(st.floats(0.9, 1.1))
        readings.append(_seen(event, t_s, counter_j, integral_j))
    return readings


def _seen(event: str, t_s: float, counter_j: float, integral_j: float) -> Reading:
    if event == "lost":
        return Reading(t_s, None, None, None, ("lost",))
    if event == "silent":
        return Reading(t_s, None, None, None)
    flags = ("gap",) if event == "gap" else ()
    return Reading(t_s, None if event == "blind" else counter_j, integral_j, None, flags)


METHODS = st.sampled_from(["counter", "integrated", "modelled"])
SHARES = st.tuples(*[st.floats(-0.1, 1.1)] * 3)


@settings(max_examples=300)
@given(traces(), METHODS, SHARES)
def test_windows_add_up_and_grow(
    readings: list[Reading], method: Method, shares: tuple[float, float, float]
) -> None:
    a, b, c = (share * readings[-1].t_s for share in sorted(shares))
    ledger = EnergyLedger(readings, method)
    first, second, whole = ledger.window(a, b), ledger.window(b, c), ledger.window(a, c)
    parts_j = (first.energy_j or 0.0) + (second.energy_j or 0.0)
    assert (whole.energy_j or 0.0) == pytest.approx(parts_j, rel=1e-9, abs=1e-6)
    assert first.covered_s + second.covered_s == pytest.approx(whole.covered_s, abs=1e-9)
    assert 0 <= (first.energy_j or 0.0) <= (whole.energy_j or 0.0) + 1e-9
    assert 0 <= whole.covered_s <= whole.duration_s
    for window in (first, second, whole):
        assert all(energy_j >= 0 for energy_j in window.energy_by_source_j.values())
        assert sum(window.energy_by_source_j.values()) == (window.energy_j or 0.0)
        assert (window.energy_j is None) == (not window.energy_by_source_j)


@given(st.lists(st.tuples(st.floats(0.05, 60), st.floats(10, 700)), min_size=1, max_size=40))
def test_an_unbroken_counter_is_booked_to_the_joule(steps: list[tuple[float, float]]) -> None:
    readings = [Reading(0.0, 123.0, 0.0, None)]
    for step_s, power_w in steps:
        last = readings[-1]
        drawn_j = step_s * power_w
        readings.append(
            Reading(
                last.t_s + step_s,
                (last.counter_j or 0.0) + drawn_j,
                (last.integrated_j or 0.0) + drawn_j * 0.95,
                power_w,
            )
        )
    window = EnergyLedger(readings).window(0.0, readings[-1].t_s)
    assert window.energy_j == pytest.approx((readings[-1].counter_j or 0.0) - 123.0, rel=1e-12)
    assert window.energy_by_source_j.keys() == {"counter"}


@given(traces(), st.data())
def test_the_ledger_agrees_with_adding_up_step_by_step(
    readings: list[Reading], data: st.DataObject
) -> None:
    """Against the overlap of the window with every booked step, added up one by one."""
    last_s = readings[-1].t_s
    start_s = data.draw(st.floats(0, last_s))
    end_s = data.draw(st.floats(start_s, last_s))
    booking = book(readings, method="counter", max_gap_s=5.0)
    energy_j = covered_s = 0.0
    for step, (before, after) in enumerate(pairwise(booking.readings)):
        overlap_s = min(after.t_s, end_s) - max(before.t_s, start_s)
        if overlap_s > 0 and booking.evidence[step] != "none":
            energy_j += booking.energy_j[step] * overlap_s / (after.t_s - before.t_s)
            if booking.evidence[step] == "counter" or "gap" not in after.flags:
                covered_s += overlap_s
    window = EnergyLedger(readings).window(start_s, end_s)
    assert (window.energy_j or 0.0) == pytest.approx(energy_j, rel=1e-9, abs=1e-6)
    assert window.covered_s == pytest.approx(covered_s, abs=1e-9)
