"""Faults of RAPL's and NVML's counters, through the real meter.

Each fault is shown by a replayed powercap tree and by a replayed NVML library. Whatever the
counter does, no more is booked than was used, and the flags say what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.readings.ledger import EnergyLedger, WindowEnergy
from pricetag.metering import codecarbon_parts
from pricetag.metering.host_model import ConstantModel, HostModelSource
from pricetag.metering.meter import Meter
from pricetag.metering.nvml import NvmlSource
from pricetag.metering.rapl import RaplSource, scan
from pricetag.metering.source import Component, Reading
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.meters import Clock
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.unit.metering.test_rapl import RANGE_UJ, put, zone

LAST_S = 40.0
FAULT_S = 20.05
"""Between two readings."""

BEGIN_J = 50_000.0
USED_W = 100.0
BESIDE_W = 90.0
"""What the model (RAPL) or the power sensor (NVML) states, to distinguish it from the counter."""

RESET = frozenset({"counter_reset"})
JUMP = frozenset({"implausible_power"})
FROZEN = frozenset({"counter_frozen"})


@dataclass(frozen=True)
class Fault:
    """A fault of a counter.

    Attributes:
        shown_j: What it shows, by time and by what it would show without the fault.
        replaced_s: For how long something else is booked in its place.
        flags: What the window is flagged with.
    """

    shown_j: Callable[[float, float], float]
    replaced_s: float
    flags: frozenset[str]


def since(t_s: float) -> bool:
    return t_s >= FAULT_S


AT_FAULT_J = BEGIN_J + USED_W * FAULT_S

FAULTS = {
    "none": Fault(lambda t, j: j, 0.0, frozenset()),
    "reset to zero": Fault(lambda t, j: j - AT_FAULT_J if since(t) else j, 1.0, RESET),
    "falls by a little": Fault(lambda t, j: j - 150.0 if since(t) else j, 1.0, RESET),
    "falls by half": Fault(lambda t, j: j - BEGIN_J / 2 if since(t) else j, 1.0, RESET),
    "falls and comes back": Fault(
        lambda t, j: j - 20_000.0 if FAULT_S <= t < FAULT_S + 5 else j, 2.0, RESET | JUMP
    ),
    "jumps up": Fault(lambda t, j: j + 20_000.0 if since(t) else j, 1.0, JUMP),
    "jumps up and comes back": Fault(
        lambda t, j: j + 20_000.0 if FAULT_S <= t < FAULT_S + 5 else j, 2.0, RESET | JUMP
    ),
    "jumps far": Fault(lambda t, j: j + 150_000.0 if since(t) else j, 1.0, JUMP),
    "stands still for good": Fault(lambda t, j: min(j, AT_FAULT_J), 20.0, FROZEN),
    "stands still and goes on": Fault(
        lambda t, j: j - USED_W * min(max(t - FAULT_S, 0.0), 10.0), 11.0, FROZEN
    ),
    "stands still and catches up": Fault(
        lambda t, j: AT_FAULT_J if FAULT_S <= t < FAULT_S + 10 else j,
        0.0,
        FROZEN | {"counter_caught_up"},
    ),
    # The meter's clock stops while the machine sleeps; the behavior of counters differs.
    "suspended, counted on": Fault(lambda t, j: j + 3600 * 5.0 if since(t) else j, 1.0, JUMP),
    "suspended, restarted": Fault(lambda t, j: j - AT_FAULT_J if since(t) else j, 1.0, RESET),
    "suspended, stood still": Fault(lambda t, j: j, 0.0, frozenset()),
}


class FaultyGpu(FakeDevice):
    """An NVML device whose counter has the fault, and whose sensor states ``BESIDE_W``."""

    fault: Fault = FAULTS["none"]

    def counter_at_mj(self, t_s: float) -> int:
        return int(self.fault.shown_j(t_s, BEGIN_J + USED_W * t_s) * 1e3)


Show = Callable[[float], None]


@contextmanager
def nvml(fault: Fault, _: Path, clock: Clock) -> Iterator[tuple[NvmlSource, Show]]:
    device = FaultyGpu(gpu_uuid(1), base_w=BESIDE_W)
    object.__setattr__(device, "fault", fault)
    with replayed(NvmlReplay(FakeTrace([device], epoch_s=0.0), clock)):
        yield NvmlSource([device.uuid]), lambda _: None


def model() -> HostModelSource:
    cpu = Component("cpu", "cpu", "CPU", "modelled", 0.45)
    return HostModelSource(lambda: [(cpu, ConstantModel(BESIDE_W))])


@contextmanager
def rapl(
    fault: Fault, folder: Path, _: Clock, *, begin_j: float = BEGIN_J, with_model: bool = True
) -> Iterator[tuple[RaplSource, Show]]:
    def show(t_s: float) -> None:
        shown_j = fault.shown_j(t_s, BEGIN_J + USED_W * t_s) - BEGIN_J + begin_j
        put(package, int(shown_j * 1e6) % RANGE_UJ)

    package = zone(folder, "intel-rapl:0", "package-0", 0)
    show(0.0)
    zones = scan(folder)
    yield (
        RaplSource(zones.packages, zones.dram, folder / "cpuinfo", model() if with_model else None),
        show,
    )


@pytest.fixture(autouse=True)
def _unknown_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecarbon_parts, "is_installed", lambda: False)


def metered(source: NvmlSource | RaplSource, show: Show, clock: Clock) -> WindowEnergy:
    """What is booked over 40 s, polled as the meter's thread would."""
    readings: list[Reading] = []
    meter = Meter([source], readings.extend, clock=clock)
    (component,) = meter.open(thread=False)
    for tenth in range(1, round(LAST_S * 10) + 1):
        clock.now_s = tenth / 10
        show(clock.now_s)
        meter.poll()
    meter.close()
    return EnergyLedger.of(component, readings).window(0.0, LAST_S)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("kind", [nvml, rapl])
def test_a_fault_affects_only_its_own_steps(
    tmp_path: Path, kind: Callable[..., Any], name: str
) -> None:
    fault, clock = FAULTS[name], Clock(0.0)
    with kind(fault, tmp_path, clock) as (source, show):
        window = metered(source, show, clock)
    expected_j = USED_W * LAST_S - (USED_W - BESIDE_W) * fault.replaced_s
    # A counter stops and continues between readings: one step either side.
    assert window.energy_j == pytest.approx(expected_j, abs=1.1 * (USED_W - BESIDE_W))
    assert set(window.flags) - {"counter_integral_divergence", "reset"} == fault.flags
    assert window.covered_s == pytest.approx(LAST_S)


@pytest.mark.parametrize("sensor_ratio", [0.75, 1.0, 1.3])
@pytest.mark.parametrize("catches_up", [True, False])
@pytest.mark.parametrize("stands_s", [3.1, 3.9, 5.0, 12.5])
@pytest.mark.parametrize("kind", [nvml, rapl])
def test_a_standstill_of_any_length_is_paid_once(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: Callable[..., Any],
    stands_s: float,
    catches_up: bool,
    sensor_ratio: float,
) -> None:
    monkeypatch.setattr(f"{__name__}.BESIDE_W", USED_W * sensor_ratio)

    def shown_j(t_s: float, counted_j: float) -> float:
        stood_s = min(max(t_s - FAULT_S, 0.0), stands_s)
        if catches_up and stood_s == stands_s:
            stood_s = 0.0
        return counted_j - USED_W * stood_s

    clock = Clock(0.0)
    with kind(Fault(shown_j, 0.0, FROZEN), tmp_path, clock) as (source, show):
        window = metered(source, show, clock)
    replaced_s = 0.0 if catches_up else stands_s
    expected_j = USED_W * (LAST_S + (sensor_ratio - 1.0) * replaced_s)
    assert window.energy_j == pytest.approx(expected_j, abs=1.1 * USED_W)
    assert "counter_frozen" in window.flags
    assert ("counter_caught_up" in window.flags) is catches_up


@pytest.mark.parametrize("begin_j", [RANGE_UJ / 1e6 - 150.0, RANGE_UJ / 1e6 - USED_W * LAST_S])
def test_a_wrap_is_not_a_fault(tmp_path: Path, begin_j: float) -> None:
    clock = Clock(0.0)
    with rapl(FAULTS["none"], tmp_path, clock, begin_j=begin_j) as (source, show):
        window = metered(source, show, clock)
    assert window.energy_by_source_j == {"counter": pytest.approx(USED_W * LAST_S, rel=1e-6)}
    assert window.flags == ()


@pytest.mark.parametrize("name", FAULTS)
def test_the_steps_of_a_fault_are_unknown_without_a_model(tmp_path: Path, name: str) -> None:
    fault, clock = FAULTS[name], Clock(0.0)
    with rapl(fault, tmp_path, clock, with_model=False) as (source, show):
        window = metered(source, show, clock)
    assert window.energy_j is not None
    assert window.energy_j <= USED_W * LAST_S * (1 + 1e-9)
    missing_s = LAST_S - window.covered_s
    assert window.energy_j >= USED_W * (LAST_S - missing_s) - 1.1 * USED_W
    assert (missing_s > 0) is bool(fault.flags)
    assert ("partly_covered" in window.flags) is bool(fault.flags)


def test_the_energy_of_a_counter_after_a_stall_is_bounded_by_its_duration(tmp_path: Path) -> None:
    """Sixty seconds without a reading: a reset is a hole, not a wrap-around."""
    fault, clock = FAULTS["reset to zero"], Clock(0.0)
    readings: list[Reading] = []
    with rapl(fault, tmp_path, clock) as (source, show):
        meter = Meter([source], readings.extend, clock=clock)
        (component,) = meter.open(thread=False)
        for second in (*range(1, 20), *range(80, 91)):
            clock.now_s = float(second)
            show(clock.now_s)
            meter.edge()
        meter.close()
    window = EnergyLedger.of(component, readings).window(0.0, 90.0)
    assert window.energy_j == pytest.approx(USED_W * (19 + 10))
    assert {"counter_reset", "gap", "partly_covered"} <= set(window.flags)
    assert window.covered_s == pytest.approx(29.0)
