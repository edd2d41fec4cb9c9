"""Acceptance: eight replayed devices through the real nvidia-ml-py, booked by accounting."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from pricetag.accounting.readings.ledger import WindowEnergy, window_energy
from pricetag.metering.meter import Meter
from pricetag.metering.nvml import NvmlSource, list_devices, resolve_visible
from pricetag.metering.source import Reading
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.fake_nvml.trace import NVML_ERROR_NO_PERMISSION
from tests.support.meters import Clock, advance, booked
from tests.support.nvml_replay import NvmlReplay, replayed

RUN_S = 60.0


def device(number: int, **options: Any) -> FakeDevice:
    """A device whose load changes every few seconds, the same at every run of the test."""
    random_ = random.Random(number)
    steps = tuple(
        (second + random_.random(), random_.uniform(70.0, 690.0)) for second in range(0, 60, 3)
    )
    options.setdefault("counter_mj", random_.randrange(10**9))
    return FakeDevice(gpu_uuid(number), power=steps, **options)


def run(
    *devices: FakeDevice,
    visible: str | None = None,
    during: Callable[[Meter, Clock], None] = lambda meter, clock: advance(meter, clock, RUN_S),
) -> dict[str, WindowEnergy]:
    """Meter the visible devices; what was booked from the first reading to the last."""
    clock = Clock(0.0)
    records: list[Reading] = []
    with replayed(NvmlReplay(FakeTrace(devices, epoch_s=0.0), clock)):
        uuids = resolve_visible(visible, list_devices())
        meter = Meter([NvmlSource(uuids)], emit=records.extend, clock=clock)
        meter.open(thread=False)
        during(meter, clock)
        meter.close()
    return {
        uuid: window_energy(booked(records, f"gpu:{uuid}"), start_s=0.0, end_s=clock.now_s)
        for uuid in uuids
    }


def counted_j(device: FakeDevice, start_s: float = 0.0, end_s: float = RUN_S) -> float:
    return (device.counter_at_mj(end_s) - device.counter_at_mj(start_s)) / 1000.0


def test_eight_devices_are_booked_as_counted() -> None:
    devices = [device(number) for number in range(1, 9)]
    windows = run(*devices)
    assert len(windows) == 8
    for own in devices:
        window = windows[own.uuid]
        assert window.energy_j == pytest.approx(counted_j(own), abs=0.01)
        assert window.energy_j == pytest.approx(own.energy_j(0.0, RUN_S), rel=1e-4)
        assert set(window.energy_by_source_j) == {"counter"}
        assert window.covered_s == pytest.approx(RUN_S)
        assert window.flags == ()


def test_a_counter_reset_is_filled_with_integrated_power() -> None:
    own = device(1, resets=(30.4,))
    window = run(own)[own.uuid]
    assert counted_j(own) < 0
    assert window.energy_j == pytest.approx(own.energy_j(0.0, RUN_S), rel=0.005)
    assert "counter_reset" in window.flags
    # Only the second in which it happened rests on the integral.
    assert 0 < window.energy_by_source_j["integrated"] < 2.0 * 690.0
    assert window.covered_s == pytest.approx(RUN_S)


def test_a_lost_device_is_booked_for_what_was_read_and_nothing_is_extrapolated() -> None:
    lost_from_s, back_s = 20.3, 33.0
    own, neighbour = device(1, losses=((lost_from_s, back_s),)), device(2)
    windows = run(own, neighbour)
    window = windows[own.uuid]
    assert "lost" in window.flags
    assert window.covered_s < RUN_S - (back_s - lost_from_s)
    assert window.covered_s > RUN_S - (back_s - lost_from_s) - 20.0  # the backoff's last wait
    whole_j = own.energy_j(0.0, RUN_S)
    in_between_j = own.energy_j(lost_from_s, back_s)
    assert window.energy_j is not None
    assert window.energy_j < whole_j - in_between_j
    assert window.energy_j > own.energy_j(0.0, 19.9)
    assert windows[neighbour.uuid].energy_j == pytest.approx(counted_j(neighbour), abs=0.01)
    assert windows[neighbour.uuid].flags == ()


def test_a_device_lost_for_good_keeps_its_energy() -> None:
    own = device(1, losses=((20.3, 1e9),))
    window = run(own)[own.uuid]
    assert window.energy_j == pytest.approx(own.energy_j(0.0, 20.0), rel=1e-3)
    assert window.covered_s == pytest.approx(20.0, abs=0.2)
    assert "lost" in window.flags


def test_a_frozen_counter_is_recognized() -> None:
    own = device(1, freezes=((15.0, 1e9),))
    window = run(own)[own.uuid]
    assert counted_j(own) < 0.5 * own.energy_j(0.0, RUN_S)
    assert window.energy_j == pytest.approx(own.energy_j(0.0, RUN_S), rel=0.01)
    assert "counter_frozen" in window.flags


@pytest.mark.parametrize(
    ("visible", "numbers"),
    [
        (f"{gpu_uuid(3)},{gpu_uuid(1)}", [3, 1]),
        ("GPU-00000002", [2]),
        ("", []),
        (None, [1, 2, 3]),
    ],
)
def test_only_visible_devices_are_charged(visible: str | None, numbers: list[int]) -> None:
    devices = {number: device(number) for number in (1, 2, 3)}
    windows = run(*devices.values(), visible=visible)
    assert list(windows) == [gpu_uuid(number) for number in numbers]
    for number in numbers:
        expected_j = counted_j(devices[number])
        assert windows[gpu_uuid(number)].energy_j == pytest.approx(expected_j, abs=0.01)


def test_a_suspended_meter_still_books_the_counter() -> None:
    own = device(1)

    def during(meter: Meter, clock: Clock) -> None:
        advance(meter, clock, 10.0)
        clock.now_s += 40.0
        advance(meter, clock, 10.0)

    window = run(own, during=during)[own.uuid]
    assert window.energy_j == pytest.approx(counted_j(own), abs=0.01)
    assert "gap" in window.flags


@pytest.mark.parametrize(
    ("what", "flags"),
    [
        ("nvmlDeviceGetTotalEnergyConsumption", ("no_counter", "no_permission")),
        ("nvmlDeviceGetFieldValues", ("no_permission",)),
    ],
)
def test_a_permission_lost_during_a_run_is_flagged(what: str, flags: tuple[str, ...]) -> None:
    own = device(1)
    clock, records = Clock(0.0), list[Reading]()
    library = NvmlReplay(FakeTrace([own], epoch_s=0.0), clock)
    with replayed(library):
        meter = Meter([NvmlSource([own.uuid])], emit=records.extend, clock=clock)
        meter.open(thread=False)
        advance(meter, clock, 20.0)
        library.refuses[what] = NVML_ERROR_NO_PERMISSION
        advance(meter, clock, 40.0)
        meter.close()
    window = window_energy(booked(records, f"gpu:{own.uuid}"), start_s=0.0, end_s=RUN_S)
    assert window.energy_j == pytest.approx(own.energy_j(0.0, RUN_S), rel=0.01)
    assert window.covered_s == pytest.approx(RUN_S)
    assert window.flags == flags
    integrated_j = window.energy_by_source_j.get("integrated", 0.0)
    expected_j = own.energy_j(20.0, RUN_S) if "no_counter" in flags else 0.0
    assert integrated_j == pytest.approx(expected_j, rel=0.03)


def test_stages_add_up_to_the_run() -> None:
    own = device(1)
    clock = Clock(0.0)
    records: list[Reading] = []
    edges_s = [0.0]
    with replayed(NvmlReplay(FakeTrace([own], epoch_s=0.0), clock)):
        meter = Meter([NvmlSource([own.uuid])], emit=records.extend, clock=clock)
        meter.open(thread=False)
        for length_s in (3.3, 0.4, 11.7):
            advance(meter, clock, length_s)
            edges_s.append(meter.edge()[0].t_s)
        meter.close()
    readings = booked(records, f"gpu:{own.uuid}")
    for start_s, end_s in pairwise(edges_s):
        stage = window_energy(readings, start_s=start_s, end_s=end_s)
        assert stage.energy_j == pytest.approx(counted_j(own, start_s, end_s), abs=0.01)
