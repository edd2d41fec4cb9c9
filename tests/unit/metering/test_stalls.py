"""A stalled meter: its readings, and what is booked from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pricetag.accounting.readings.ledger import WindowEnergy, window_energy
from pricetag.metering.meter import Meter
from pricetag.metering.source import Reading
from tests.support.meters import Clock, ScriptedSource, advance, booked


def metered(
    source: ScriptedSource, *, silent_after_stall: bool = False
) -> tuple[WindowEnergy, Sequence[Reading]]:
    """100 W for 10 s, the meter held up from the 5th to the 8th."""
    records: list[Reading] = []
    clock = Clock()
    meter = Meter([source], records.extend, clock=clock)
    meter.open(thread=False)
    advance(meter, clock, 5.0)
    clock.now_s += 3.0
    if silent_after_stall:
        # The first sample after the stall is known; the one that the reading needs is not.
        meter._next_reading_s = 8.05
        meter.poll()
        source.power_w = None
        clock.now_s += 0.1
        meter.poll()
        source.power_w = 100.0
    else:
        meter.poll()
    advance(meter, clock, 2.0)
    meter.close()
    return window_energy(booked(records, source.id), start_s=0.0, end_s=10.0), records


def test_without_a_counter_a_stall_is_booked_and_not_covered() -> None:
    window, records = metered(ScriptedSource(power_w=100.0))
    assert window.energy_j == pytest.approx(700.0)
    assert window.covered_s == pytest.approx(7.0)
    assert window.flags == ("gap", "partly_covered")
    assert [round(r.t_s, 6) for r in records if "gap" in r.flags] == [8.0]


def test_a_stall_that_ends_in_a_silent_reading_is_not_covered_either() -> None:
    window, records = metered(ScriptedSource(power_w=100.0), silent_after_stall=True)
    (flagged,) = [record for record in records if "gap" in record.flags]
    assert (flagged.counter_j, flagged.integrated_j) == (None, None)
    assert window.covered_s < 7.0
    assert {"gap", "partly_covered"} <= set(window.flags)


def test_with_a_counter_a_stall_costs_nothing() -> None:
    class Counting(ScriptedSource):
        def read(self, now_s: float) -> Any:
            self.counter_j = 100.0 * now_s
            return super().read(now_s)

    window, _ = metered(Counting(power_w=100.0))
    assert window.energy_by_source_j == {"counter": pytest.approx(1000.0)}
    assert window.covered_s == pytest.approx(10.0)
    assert window.flags == ("gap",)
