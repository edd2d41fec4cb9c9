"""Each rule of booking, on traces small enough to compute by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from pricetag.accounting.readings.ledger import (
    EnergyLedger,
    Method,
    Reading,
    WindowEnergy,
    window_energy,
)


def trace(
    seconds: Sequence[float],
    counter: Callable[[float], float | None],
    integrated: Callable[[float], float | None],
    flags: Mapping[float, tuple[str, ...]] | None = None,
) -> list[Reading]:
    return [Reading(t, counter(t), integrated(t), None, (flags or {}).get(t, ())) for t in seconds]


def at_100_w(t: float) -> float:
    return 100.0 * t


def nothing(_t: float) -> None:
    return None


def settle(
    readings: Sequence[Reading], start_s: float, end_s: float, method: Method = "counter"
) -> WindowEnergy:
    return window_energy(readings, start_s=start_s, end_s=end_s, method=method)


SECONDS = [float(t) for t in range(11)]


def test_the_counter_is_used_first() -> None:
    window = settle(trace(SECONDS, lambda t: 5_000 + 100 * t, lambda t: 97 * t), 0, 10)
    assert window.energy_j == 1_000.0
    assert window.energy_by_source_j == {"counter": 1_000.0}
    assert window.covered_s == 10.0
    assert window.flags == ()
    assert window.reason is None


def test_the_integral_is_used_if_the_component_has_no_counter() -> None:
    window = settle(trace(SECONDS, nothing, at_100_w), 2, 5)
    assert window.energy_by_source_j == {"integrated": pytest.approx(300.0)}


@pytest.mark.parametrize(("method", "source"), [("integrated", "integrated"), ("modelled",) * 2])
def test_other_methods_never_look_at_the_counter(method: Method, source: str) -> None:
    window = settle(trace(SECONDS, lambda t: 7 * t, at_100_w), 0, 10, method)
    assert window.energy_by_source_j == {source: 1_000.0}


def test_counter_reset_is_filled_with_the_integral() -> None:
    # The driver is loaded again between 4 and 5 s: the counter starts from 0.
    readings = trace(SECONDS, lambda t: 9_000 + 100 * t if t < 5 else 100 * (t - 5), at_100_w)
    window = settle(readings, 0, 10)
    assert window.energy_j == pytest.approx(1_000.0)
    assert window.energy_by_source_j == {"counter": 900.0, "integrated": 100.0}
    assert window.flags == ("counter_reset",)
    assert settle(readings, 0, 4).flags == ()
    assert settle(readings, 5, 10).flags == ()


def test_frozen_counter_is_filled_with_the_integral() -> None:
    # It stops at 3 s and never moves again.
    window = settle(trace(SECONDS, lambda t: 100 * min(t, 3.0), at_100_w), 0, 10)
    assert window.energy_by_source_j == {"counter": 300.0, "integrated": 700.0}
    assert window.flags == ("counter_frozen",)


def test_a_frozen_counter_that_continues_where_it_stopped_is_filled() -> None:
    # Still from 3 to 6 s, then 100 W again: what it missed stays missed.
    readings = trace(SECONDS, lambda t: 100 * (t if t < 3 else max(t - 3, 3)), at_100_w)
    window = settle(readings, 0, 10)
    assert window.energy_j == pytest.approx(1_000.0)
    assert window.energy_by_source_j == {"counter": 700.0, "integrated": 300.0}


def test_catching_up_is_not_booked_twice() -> None:
    # Still from 3 to 7 s; at 8 s the counter is where it should have been.
    readings = trace(SECONDS, lambda t: 100 * (3 if 3 <= t < 8 else t), lambda t: 96 * t)
    window = settle(readings, 0, 10)
    assert window.energy_j == pytest.approx(1_000.0)
    assert window.energy_by_source_j == {"counter": pytest.approx(1_000.0)}
    assert window.flags == ("counter_caught_up", "counter_frozen")
    # The jump is spread over the standstill: a stage inside it has its energy.
    assert settle(readings, 4, 6).energy_j == pytest.approx(200.0)
    assert settle(readings, 7, 8).energy_j == pytest.approx(100.0)


def test_catching_up_has_the_shape_of_the_integral() -> None:
    # 300 W until 5 s, then 100 W; the counter does not advance from 2 to 7 s.
    def drawn(t: float) -> float:
        return 300 * min(t, 5.0) + 100 * max(t - 5, 0.0)

    readings = trace(SECONDS, lambda t: drawn(2.0) if 2 <= t < 8 else drawn(t), drawn)
    assert settle(readings, 3, 4).energy_j == pytest.approx(300.0)
    assert settle(readings, 6, 7).energy_j == pytest.approx(100.0)
    assert settle(readings, 0, 10).energy_j == pytest.approx(drawn(10.0))


@pytest.mark.parametrize(("stops_s", "goes_on_s"), [(2.3, 7.8), (0.4, 9.9), (2.0, 7.0)])
def test_a_counter_that_stops_and_continues_between_two_readings_is_booked(
    stops_s: float, goes_on_s: float
) -> None:
    def counted(t: float) -> float:
        return 100 * (min(t, stops_s) + max(t - goes_on_s, 0.0))

    window = settle(trace(SECONDS, counted, at_100_w), 0, 10)
    assert window.energy_j == pytest.approx(1_000.0)
    assert window.flags == ("counter_frozen",)


def test_a_counter_of_an_idle_device_is_not_frozen() -> None:
    window = settle(trace(SECONDS, lambda _: 42.0, lambda t: 4.9 * t), 0, 10)
    assert window.energy_by_source_j == {"counter": 0.0}
    assert "counter_frozen" not in window.flags


def test_a_short_standstill_is_a_slow_tick() -> None:
    readings = trace([0, 1, 2, 2.5, 3.5, 4], lambda t: 100 * (2 if 2 <= t < 3.9 else t), at_100_w)
    window = settle(readings, 0, 4)
    assert window.energy_by_source_j == {"counter": 400.0}
    assert window.flags == ()


def test_lost_component_is_never_extrapolated() -> None:
    lost = dict.fromkeys((4.0, 5.0, 6.0), ("lost",))
    gone = [4.0, 5.0, 6.0]
    readings = trace(
        SECONDS,
        lambda t: None if t in gone else 100 * t,
        lambda t: None if t in gone else 100 * t,
        lost,
    )
    window = settle(readings, 0, 10)
    assert window.energy_j == pytest.approx(600.0)  # 0..3 and 7..10
    assert window.covered_s == pytest.approx(6.0)
    assert window.flags == ("lost", "partly_covered")
    dark = settle(readings, 4, 6)
    assert dark.energy_j is None
    assert dark.reason == "the component was lost"
    assert dark.energy_by_source_j == {}
    assert dark.covered_s == 0.0
    assert "not_covered" in dark.flags


def test_a_lost_device_is_not_booked_even_if_figures_arrived() -> None:
    window = settle(trace(SECONDS, at_100_w, at_100_w, {5.0: ("lost",)}), 0, 10)
    assert window.energy_j == pytest.approx(800.0)


def test_a_gap_in_the_integral_is_not_covered() -> None:
    readings = trace([0, 1, 2, 9, 10], nothing, at_100_w)
    window = settle(readings, 0, 10)
    assert window.energy_j == pytest.approx(300.0)
    assert window.covered_s == 3.0
    assert window.flags == ("gap", "partly_covered")
    inside = settle(readings, 3, 8)
    assert inside.energy_j is None
    assert inside.reason == "the readings are too far apart to integrate"


def test_a_gap_between_two_counter_readings_is_covered() -> None:
    window = settle(trace([0, 1, 3_600, 3_601], at_100_w, at_100_w), 0, 3_601)
    assert window.energy_by_source_j == {"counter": 360_100.0}
    assert window.covered_s == 3_601.0
    assert window.flags == ()


def test_silent_readings_between_two_counters_are_bridged() -> None:
    silent = (3.0, 4.0, 5.0)
    readings = trace(
        SECONDS,
        lambda t: None if t in silent else 100 * t,
        lambda t: None if t in silent else 100 * t,
    )
    window = settle(readings, 0, 10)
    assert window.energy_by_source_j == {"counter": 1_000.0}


def drawn_but_for_a_stall(t: float) -> float:
    """100 W throughout, integrated but for the stall from 4.5 to 7.5 s."""
    return 100 * t if t <= 4.5 else 100 * max(t - 3, 4.5)


STALLED = [0.0, 1.0, 2.0, 3.0, 4.0, 8.0, 9.0, 10.0]


@pytest.mark.parametrize("method", ["integrated", "modelled", "counter"])
def test_an_integral_with_a_gap_is_booked_but_does_not_cover_its_step(method: Method) -> None:
    readings = trace(STALLED, nothing, drawn_but_for_a_stall, {8.0: ("gap",)})
    window = settle(readings, 0, 10, method)
    assert window.energy_j == pytest.approx(700.0)  # 100 J of them in the step with the hole
    assert window.covered_s == 6.0
    assert window.flags == ("gap", "partly_covered")
    hole = settle(readings, 4, 8, method)
    assert hole.energy_j == pytest.approx(100.0)
    assert hole.covered_s == 0.0
    assert hole.flags == ("gap", "not_covered")
    assert settle(readings, 8, 10, method).flags == ()


def test_a_gap_without_energy_is_unknown() -> None:
    readings = trace([0, 1, 5, 6], nothing, lambda t: 100 * min(t, 1.0), {5.0: ("gap",)})
    window = settle(readings, 1, 5)
    assert window.energy_j is None
    assert window.reason == "the readings are too far apart to integrate"


def test_a_counter_covers_gaps_of_the_integral() -> None:
    readings = trace(STALLED, at_100_w, drawn_but_for_a_stall, {8.0: ("gap",)})
    window = settle(readings, 0, 10)
    assert window.energy_by_source_j == {"counter": 1_000.0}
    assert window.covered_s == 10.0
    assert window.flags == ("gap",)


def test_a_stall_is_not_a_divergence_of_counter_and_integral() -> None:
    seconds = [*STALLED, *(float(t) for t in range(11, 16))]
    readings = trace(seconds, at_100_w, drawn_but_for_a_stall, {8.0: ("gap",)})
    assert settle(readings, 0, 15).flags == ("gap",)  # 300 of 1,500 J are not in the integral


def test_a_frozen_counter_does_not_cover_a_gap_in_its_integral() -> None:
    readings = trace(STALLED, lambda t: 100 * min(t, 2.0), drawn_but_for_a_stall, {8.0: ("gap",)})
    window = settle(readings, 0, 10)
    assert window.energy_by_source_j == {"counter": 200.0, "integrated": 500.0}
    assert window.covered_s == 6.0
    assert window.flags == ("counter_frozen", "gap", "partly_covered")


def test_flags_of_a_silent_reading_apply_to_the_step_that_spans_it() -> None:
    # The stall ended, and then the power could not be read just when a reading was due.
    stalled = [*STALLED[:5], 7.5, 8.0, 9.0, 10.0]
    readings = trace(
        stalled,
        nothing,
        lambda t: None if t == 7.5 else drawn_but_for_a_stall(t),
        {7.5: ("gap", "source_error")},
    )
    window = settle(readings, 0, 10)
    assert window.covered_s == 6.0
    assert window.flags == ("gap", "partly_covered", "source_error")
    assert settle(readings, 8, 10).flags == ()


def test_a_reset_within_a_gap_is_not_covered() -> None:
    window = settle(trace([0, 1, 100, 101], lambda t: 900 - t if t < 2 else t, at_100_w), 1, 100)
    assert window.energy_j is None
    assert window.flags == ("counter_reset", "gap", "not_covered")


def test_edges_between_readings_are_interpolated() -> None:
    readings = trace([0, 2, 4], lambda t: 100 * t, lambda t: 100 * t)
    window = settle(readings, 0.5, 3)
    assert window.energy_j == pytest.approx(250.0)
    assert window.flags == ("edge_interpolated",)
    assert settle(readings, 0, 4).flags == ()
    assert settle(readings, 0.0005, 4).flags == ()


def test_time_outside_the_readings_is_not_covered() -> None:
    readings = trace(SECONDS, at_100_w, at_100_w)
    window = settle(readings, -5, 20)
    assert window.energy_j == 1_000.0
    assert window.covered_s == 10.0
    assert window.flags == ("partly_covered",)
    before = settle(readings, -5, -1)
    assert before.energy_j is None
    assert before.reason == "no reading falls into the window"


def test_a_short_uncovered_time_at_the_edges_is_not_flagged() -> None:
    readings = trace(SECONDS, at_100_w, at_100_w)
    assert settle(readings, 0, 10.009).flags == ()
    assert settle(readings, 0, 10.02).flags == ("partly_covered",)


@pytest.mark.parametrize("readings", [[], [Reading(3.0, 1.0, 1.0, None)]])
def test_too_few_readings_give_no_energy(readings: list[Reading]) -> None:
    window = settle(readings, 0, 10)
    assert window.energy_j is None
    assert window.reason
    assert window.covered_s == 0.0


def test_divergence_of_counter_and_integral_is_flagged() -> None:
    readings = trace([float(t) for t in range(31)], at_100_w, lambda t: 85 * t)
    assert settle(readings, 0, 10).flags == ("counter_integral_divergence",)
    assert settle(readings, 0, 9).flags == ()  # too short to show it
    close = trace(SECONDS, at_100_w, lambda t: 91 * t)
    assert settle(close, 0, 10).flags == ()


def test_a_reading_with_an_earlier_time_is_flagged_and_skipped() -> None:
    readings = trace([0, 1, 2, 3], at_100_w, at_100_w)
    readings.insert(3, Reading(0.5, 55.0, 55.0, None))
    window = settle(readings, 0, 3)
    assert window.energy_j == 300.0
    assert window.flags == ("clock_went_back",)


def test_flags_of_readings_reach_the_windows_that_contain_them() -> None:
    readings = trace(SECONDS, at_100_w, at_100_w, {5.0: ("throttled",)})
    assert settle(readings, 3, 6).flags == ("throttled",)
    assert settle(readings, 6, 8).flags == ()


def test_two_readings_at_one_moment_make_no_step() -> None:
    readings = trace([0, 1, 1, 2], at_100_w, at_100_w)
    ledger = EnergyLedger(readings)
    assert ledger.window(0, 1).energy_j == 100.0
    assert ledger.window(1, 2).energy_j == 100.0
    assert ledger.window(1, 1).energy_j is None


@pytest.mark.parametrize(("start", "end"), [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_impossible_windows_are_rejected(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="a window must end after it starts"):
        settle(trace(SECONDS, at_100_w, at_100_w), start, end)


def test_many_windows_at_once_equal_the_windows_one_by_one() -> None:
    readings = trace(SECONDS, at_100_w, lambda t: 99 * t)
    edges = [(0.0, 3.0), (3.0, 4.5), (4.5, 10.0)]
    assert EnergyLedger(readings).windows(edges) == [settle(readings, *edge) for edge in edges]
