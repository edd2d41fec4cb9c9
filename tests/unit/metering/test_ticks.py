"""Counters that tick are watched after an edge, and what is booked from their updates."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from pricetag.accounting.readings.alignment import align
from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.metering.meter import Meter
from pricetag.metering.nvml import NvmlSource
from pricetag.metering.source import Component, Reading
from pricetag.metering.ticks import Ticker
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.meters import Clock, ScriptedSource, advance, booked
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.support.sensors import A100, H100, VOLTA, PowerTrace, Sensors, SimulatedDevice

Records = list[Reading]


@dataclass(frozen=True)
class Devices:
    devices: list[SimulatedDevice]


@contextmanager
def metering(*devices: SimulatedDevice) -> Iterator[tuple[Meter, Clock, Records, NvmlReplay]]:
    clock, records = Clock(0.0), Records()
    library = NvmlReplay(Devices(list(devices)), clock)
    with replayed(library):
        source = NvmlSource([device.uuid for device in devices])
        meter = Meter([source], records.extend, clock=clock)
        meter.open(thread=False)
        yield meter, clock, records, library
        meter.close()


def watch(meter: Meter, clock: Clock) -> float:
    """Look as the meter's thread would, until nothing is awaited; how long that took."""
    began_s = clock.now_s
    while (pause_s := meter.look_pause_s()) is not None:
        clock.now_s += pause_s
        meter.look()
    return clock.now_s - began_s


def ticks(records: Records, meter: Meter) -> list[Reading]:
    meter.edge()  # hands over what waits
    return [record for record in records if "tick" in record.flags]


def device(sensors: Sensors = A100, watts: float = 300.0, seed: int = 0) -> SimulatedDevice:
    return SimulatedDevice(sensors, PowerTrace([(0.0, watts)]), seed=seed)


@pytest.mark.parametrize(("sensors", "update_s"), [(VOLTA, 0.02), (A100, 0.1), (H100, 0.1)])
def test_the_architecture_determines_how_often_the_counter_is_updated(
    sensors: Sensors, update_s: float
) -> None:
    own = device(sensors)
    with replayed(NvmlReplay(Devices([own]), Clock(0.0))):
        source = NvmlSource([own.uuid])
        assert source.components()[0].update_s == update_s
        source.close()


def test_without_a_counter_there_is_nothing_to_watch() -> None:
    clock = Clock(0.0)
    own = FakeDevice(gpu_uuid(1), codes={"counter": 3})
    with replayed(NvmlReplay(FakeTrace([own], epoch_s=0.0), clock)):
        meter = Meter([NvmlSource([own.uuid])], lambda _: None, clock=clock)
        assert meter.open(thread=False)[0].update_s is None
        assert meter.look_pause_s() is None
        meter.close()


@pytest.mark.parametrize("sensors", [VOLTA, A100])
def test_two_updates_are_awaited_and_each_is_read_on_arrival(sensors: Sensors) -> None:
    own = device(sensors)
    with metering(own) as (meter, clock, records, _):
        watch(meter, clock)
        clock.now_s = 1.234
        meter.edge()
        took_s = watch(meter, clock)
        assert sensors.counter_s < took_s < 2.1 * sensors.counter_s
        last = [record for record in ticks(records, meter) if record.t_s > 1.234]
    assert len(last) == 2
    for record in last:
        updated_s = own.last_tick_s(record.t_s)
        assert 0.0 <= record.t_s - updated_s <= min(0.0041, 0.101 * sensors.counter_s)
        assert record.counter_j == own.counter_at_mj(record.t_s) / 1000.0
        assert record.integrated_j == pytest.approx(300.0 * record.t_s)
        assert record.power_w == pytest.approx(300.0)


def test_each_device_is_read_at_its_own_update() -> None:
    first, second = device(seed=1), device(seed=2, watts=100.0)
    with metering(first, second) as (meter, clock, records, _):
        watch(meter, clock)
        tick_readings = ticks(records, meter)
    by_device = {
        own.uuid: [r.t_s for r in tick_readings if r.component == f"gpu:{own.uuid}"]
        for own in (first, second)
    }
    assert {len(times_s) for times_s in by_device.values()} == {2}
    assert not set(by_device[first.uuid]) & set(by_device[second.uuid])


def test_an_edge_waits_for_no_update() -> None:
    with metering(device()) as (meter, clock, records, _):
        watch(meter, clock)
        clock.now_s = 2.0
        (edge,) = meter.edge()
        assert (edge.t_s, edge.flags) == (2.0, ())
        assert records[-1] == edge


def test_a_window_is_as_exact_as_the_polling_interval() -> None:
    """300 W, read at moments that have nothing to do with the counter's updates."""
    with metering(device()) as (meter, clock, records, _):
        for edge_s in (1.037, 2.311, 2.95):
            watch(meter, clock)
            advance(meter, clock, edge_s - clock.now_s - 0.05, step_s=0.05)
            clock.now_s = edge_s
            meter.edge()
        watch(meter, clock)
    ledger = EnergyLedger(booked(records, f"gpu:{gpu_uuid(1)}"))
    for start_s, end_s in ((1.037, 2.311), (2.311, 2.95), (1.037, 2.95)):
        window = ledger.window(start_s, end_s)
        assert window.energy_j == pytest.approx(300.0 * (end_s - start_s), abs=300.0 * 0.004)
        assert "edge_aligned" in window.flags
        assert set(window.energy_by_source_j) == {"counter"}


def test_the_time_of_an_update_seen_late_is_unknown() -> None:
    with metering(device()) as (meter, clock, records, _):
        watch(meter, clock)
        clock.now_s = 1.2
        meter.edge()
        clock.now_s = 1.28
        meter.look()
        watch(meter, clock)
        meter.edge()
    flags = [record.flags for record in records if record.t_s > 1.2]
    assert flags[0] == ("late_tick",)
    assert sum("tick" in names for names in flags) == 1
    readings = booked(records, f"gpu:{gpu_uuid(1)}")
    assert all("tick" not in " ".join(reading.flags) for reading in align(readings)[:-1])


def test_a_device_lost_while_watched_is_handled_by_the_next_reading() -> None:
    own = FakeDevice(gpu_uuid(1), losses=((1.05, 1e9),))
    clock, records = Clock(0.0), Records()
    with replayed(NvmlReplay(FakeTrace([own], epoch_s=0.0), clock)):
        meter = Meter([NvmlSource([own.uuid])], records.extend, clock=clock)
        meter.open(thread=False)
        watch(meter, clock)
        clock.now_s = 1.049
        meter.edge()
        watch(meter, clock)
        assert clock.now_s < 1.06
        meter.edge()
        meter.close()
    assert records[-1].flags == ("lost",)


def test_polling_is_cheap_while_no_update_is_awaited() -> None:
    with metering(device()) as (meter, clock, _, library):
        watch(meter, clock)
        asked = dict(library.calls)
        for _ in range(100):
            meter.look()
        assert library.calls == asked


class Ticking(ScriptedSource):
    """A counter that is updated every 50 ms of the real clock."""

    def components(self) -> list[Component]:
        return [Component(self.id, "gpu", "ticking", "counter", 0.05, update_s=0.05)]

    def sample(self, now_s: float) -> list[float | None]:
        self.counter_j = self.counter_now_j(0)
        return [100.0]

    def counter_now_j(self, index: int) -> float | None:
        return 1000.0 + 5.0 * math.floor(time.monotonic() / 0.05)

    def power_now_w(self, index: int) -> float | None:
        return 100.0


def flags_after_an_edge() -> tuple[list[str], float]:
    """Flags of the readings after an edge, and the seconds that the edge took."""
    records = Records()
    meter = Meter([Ticking()], records.extend)
    meter.open()
    time.sleep(0.25)
    began_s = time.perf_counter()
    (edge,) = meter.edge()
    took_s = time.perf_counter() - began_s
    meter.close()
    after = [record for record in records if record.t_s > edge.t_s]
    return [flag for record in after for flag in record.flags], took_s


def test_the_thread_reads_the_updates_after_an_edge_before_it_closes() -> None:
    tries = []
    for _ in range(30):  # an update that a busy machine lets pass is not read
        flags, took_s = flags_after_an_edge()
        tries.append((flags, took_s))
        if sorted(flags) in (["tick", "tick"], ["late_tick", "tick"]) and took_s < 0.03:
            return
    pytest.fail(f"no edge was followed by two updates: {tries}")
    assert threading.active_count() == 1 or not any(
        thread.name == "pricetag-meter" for thread in threading.enumerate()
    )


def test_a_counter_that_does_not_move_is_no_longer_watched() -> None:
    class Frozen(Ticking):
        def counter_now_j(self, index: int) -> float | None:
            return 500.0

    clock, records = Clock(), Records()
    meter = Meter([Frozen()], records.extend, clock=clock)
    meter.open(thread=False)
    assert watch(meter, clock) == pytest.approx(2.1 * 0.05, abs=0.005)
    meter.close()
    assert all(record.flags == () for record in records)


def test_a_source_that_breaks_while_it_is_watched_breaks_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Breaking(Ticking):
        def counter_now_j(self, index: int) -> float | None:
            raise OSError("gone")

        def sample(self, now_s: float) -> list[float | None]:
            return [100.0]

    source = Breaking()
    source.counter_j = 5.0
    clock, records = Clock(), Records()
    meter = Meter([source], records.extend, clock=clock)
    meter.open(thread=False)
    with caplog.at_level(logging.ERROR):
        watch(meter, clock)
    assert caplog.messages == ["Breaking failed: OSError: gone"]
    assert meter.look_pause_s() is None
    meter.close()


def test_a_counter_that_falls_is_watched_no_longer() -> None:
    counters_j = iter([7.0, 3.0])
    ticker = Ticker((0, 0), 0.1, lambda: next(counters_j))
    ticker.begin(1.0, 7.0)
    assert ticker.tick(1.004) is None
    assert ticker.wanted == 2
    assert ticker.tick(1.008) is None
    assert ticker.wanted == 0
