"""Wrong host counters, replayed through a powercap tree: none is trusted blindly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.readings.ledger import EnergyLedger, WindowEnergy
from pricetag.accounting.readings.reading import Reading
from pricetag.metering import codecarbon_parts
from pricetag.metering.codecarbon_parts import CpuModel
from pricetag.metering.host_check import max_zone_power_w
from pricetag.metering.host_model import ConstantModel, HostModelSource, PowerModel
from pricetag.metering.meter import Meter
from pricetag.metering.metered import MeteredSource
from pricetag.metering.rapl import RaplSource, scan
from pricetag.metering.source import Component
from tests.unit.metering.test_rapl import RANGE_UJ, put, zone

LAST_S = 40
MODEL_W = 50.0
BEGIN_UJ = 5_000_000_000

Counter = Callable[[float], float]
"""A zone's counter, in µJ, by time."""


@pytest.fixture(autouse=True)
def _unknown_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecarbon_parts, "is_installed", lambda: False)


def model(power_w: float = MODEL_W) -> HostModelSource:
    def part(kind: Any, power: float) -> tuple[Component, PowerModel]:
        return Component(kind, kind, kind, "modelled", 0.45), ConstantModel(power)

    return HostModelSource(lambda: [part("cpu", power_w), part("ram", 6.0)])


def metered(
    root: Path, zones: dict[str, Counter], *, beside: HostModelSource | None, last_s: float = LAST_S
) -> dict[str, EnergyLedger]:
    """The ledger of each zone, from readings of its counter once a second."""
    folders: dict[str, Path] = {}
    for place, (name, counter) in enumerate(zones.items()):
        folders[name] = zone(root, f"intel-rapl:{place}", name, int(counter(0.0)) % RANGE_UJ)
    scanned = scan(root)
    readings: list[Reading] = []
    now_s = [0.0]
    source = RaplSource(scanned.packages, scanned.dram, root / "cpuinfo", beside)
    meter = Meter([source], readings.extend, clock=lambda: now_s[0])
    components = meter.open(thread=False)
    step_s = min(last_s, 1.0)
    for step in range(1, int(last_s / step_s) + 1):
        now_s[0] = step * step_s
        for name, counter in zones.items():
            put(folders[name], int(counter(now_s[0])) % RANGE_UJ)
        meter.edge()
    meter.close()
    return {
        component.id.removeprefix("rapl:"): EnergyLedger(
            [reading for reading in readings if reading.component == component.id],
            component.method,
            has_model=component.has_model,
        )
        for component in components
    }


def whole(root: Path, counter: Counter, **settings: Any) -> WindowEnergy:
    settings = {"beside": model(), **settings}
    return metered(root, {"package-0": counter}, **settings)["package-0"].window(0.0, LAST_S)


def steady(power_w: float, begin_uj: float = BEGIN_UJ) -> Counter:
    return lambda t_s: begin_uj + power_w * t_s * 1e6


def test_a_counter_that_counts_is_the_evidence(tmp_path: Path) -> None:
    window = whole(tmp_path, steady(65.0))
    assert window.energy_by_source_j == {"counter": pytest.approx(65.0 * LAST_S)}
    assert (window.flags, window.covered_s) == ((), LAST_S)


@pytest.mark.parametrize("begin_uj", [RANGE_UJ - 100e6, RANGE_UJ - 1])
def test_a_wrap_is_not_an_error(tmp_path: Path, begin_uj: float) -> None:
    window = whole(tmp_path, steady(65.0, begin_uj))
    assert window.energy_by_source_j == {"counter": pytest.approx(65.0 * LAST_S, rel=1e-6)}
    assert window.flags == ()


@pytest.mark.parametrize("model_w", [0.5, 4.0, MODEL_W])
def test_a_counter_that_never_rises_is_replaced_by_the_model(
    tmp_path: Path, model_w: float
) -> None:
    window = whole(tmp_path, lambda _: BEGIN_UJ, beside=model(model_w))
    assert window.energy_by_source_j == {"modelled": pytest.approx(model_w * LAST_S)}
    assert "counter_frozen" in window.flags


@pytest.mark.parametrize("lasts_s", [1, 0.5])
def test_a_counter_that_never_rises_is_replaced_in_short_runs_too(
    tmp_path: Path, lasts_s: float
) -> None:
    ledger = metered(tmp_path, {"package-0": lambda _: BEGIN_UJ}, beside=model(), last_s=lasts_s)
    window = ledger["package-0"].window(0.0, lasts_s)
    assert window.energy_by_source_j == {"modelled": pytest.approx(MODEL_W * lasts_s)}


def test_without_a_model_a_counter_that_never_rises_is_unknown(tmp_path: Path) -> None:
    window = whole(tmp_path, lambda _: BEGIN_UJ, beside=None)
    assert window.energy_j is None
    assert window.reason == "the counter stood still, and there is no model in its place"
    assert window.covered_s == 0


@pytest.mark.parametrize("power_w", [8.0, 60.0, 300.0])
def test_a_freeze_in_the_middle_is_modelled_from_there_on(tmp_path: Path, power_w: float) -> None:
    window = whole(tmp_path, lambda t_s: BEGIN_UJ + power_w * 1e6 * min(t_s, 10.4))
    assert window.energy_by_source_j["counter"] == pytest.approx(power_w * 10, rel=0.1)
    assert window.energy_by_source_j["modelled"] == pytest.approx(MODEL_W * 29.5, rel=0.05)
    assert "counter_frozen" in window.flags


@pytest.mark.parametrize("power_w", [15.0, 60.0, 240.0])
def test_a_counter_that_catches_up_pays_for_its_standstill(tmp_path: Path, power_w: float) -> None:
    window = whole(
        tmp_path,
        lambda t_s: BEGIN_UJ + power_w * 1e6 * (10 if 10 <= t_s < 20 else t_s),
    )
    assert window.energy_j == pytest.approx(power_w * LAST_S)
    assert "counter_caught_up" in window.flags


@pytest.mark.parametrize("power_w", [15.0, 60.0, 240.0])
def test_a_frozen_counter_that_continues_where_it_stopped_is_filled_by_the_model(
    tmp_path: Path, power_w: float
) -> None:
    window = whole(
        tmp_path,
        lambda t_s: BEGIN_UJ + power_w * 1e6 * (10 if 10 <= t_s < 20 else t_s - 10 * (t_s >= 20)),
    )
    by_source = window.energy_by_source_j
    assert by_source["modelled"] == pytest.approx(MODEL_W * 10, abs=2 * MODEL_W)
    assert by_source["counter"] == pytest.approx(power_w * 30, abs=2 * power_w)
    assert {"counter_frozen"} <= set(window.flags)


def test_a_guest_that_moves_between_sockets_is_not_charged_the_jumps(tmp_path: Path) -> None:
    window = whole(tmp_path, lambda t_s: (45e9, 194e9)[int(t_s) // 2 % 2] + 65e6 * t_s)
    assert window.energy_j == pytest.approx(65 * LAST_S / 2 + MODEL_W * LAST_S / 2, rel=0.1)
    assert {"implausible_power", "counter_reset"} <= set(window.flags)
    assert set(window.energy_by_source_j) == {"counter", "modelled"}


def test_two_packages_that_exchange_their_values_are_not_charged_the_difference(
    tmp_path: Path,
) -> None:
    def of(low: bool) -> Counter:
        def counter(t_s: float) -> float:
            swapped = 10 <= t_s < 20
            return (20e9 if low is not swapped else 90e9) + 65e6 * t_s

        return counter

    ledgers = metered(tmp_path, {"package-0": of(True), "package-1": of(False)}, beside=model())
    for ledger in ledgers.values():
        window = ledger.window(0.0, LAST_S)
        assert window.energy_j == pytest.approx(65 * (LAST_S - 2) + 2 * MODEL_W / 2, rel=0.02)
        assert window.flags != ()


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_a_counter_in_the_wrong_unit_is_never_booked(tmp_path: Path, scale: float) -> None:
    window = whole(tmp_path, steady(65.0 * scale, 0.0 + 1e6))
    assert window.energy_j == pytest.approx(MODEL_W * LAST_S)
    assert window.energy_by_source_j == {"modelled": pytest.approx(MODEL_W * LAST_S)}


@pytest.mark.parametrize("power_w", [0.05, 9.0, 251.0, 1900.0])
def test_a_counter_far_from_the_model_is_flagged(tmp_path: Path, power_w: float) -> None:
    assert "counter_far_from_model" in whole(tmp_path, steady(power_w)).flags


@pytest.mark.parametrize("power_w", [11.0, 50.0, 240.0])
def test_a_counter_within_the_models_factor_is_not(tmp_path: Path, power_w: float) -> None:
    assert whole(tmp_path, steady(power_w)).flags == ()


def test_the_energy_of_a_suspended_machine_is_not_that_of_a_second(tmp_path: Path) -> None:
    """The meter's clock stops in the meantime, the counter does not."""
    window = whole(tmp_path, lambda t_s: BEGIN_UJ + 65e6 * (t_s + 3600 * (t_s >= 20)))
    assert window.energy_j == pytest.approx(65 * (LAST_S - 1) + MODEL_W, rel=0.01)
    assert "implausible_power" in window.flags


def test_a_reset_is_modelled_for_its_step(tmp_path: Path) -> None:
    window = whole(tmp_path, lambda t_s: (BEGIN_UJ if t_s < 20 else -20 * 65e6) + 65e6 * t_s + 1e6)
    assert window.energy_j == pytest.approx(65 * (LAST_S - 1) + MODEL_W, rel=0.01)
    assert "counter_reset" in window.flags


def test_memory_and_platform_have_their_own_model(tmp_path: Path) -> None:
    (tmp_path / "dram").mkdir()
    (tmp_path / "psys").mkdir()
    stuck: Counter = lambda _: BEGIN_UJ  # noqa: E731
    both = metered(tmp_path / "dram", {"package-0": steady(65.0), "dram": stuck}, beside=model())
    assert both["dram"].window(0, LAST_S).energy_j == pytest.approx(6.0 * LAST_S)
    platform = metered(tmp_path / "psys", {"psys": stuck}, beside=model())
    assert platform["psys"].window(0, LAST_S).energy_j == pytest.approx(56.0 * LAST_S)


def test_an_unreadable_counter_is_modelled_in_the_meantime(tmp_path: Path) -> None:
    source_zone = zone(tmp_path, "intel-rapl:0", "package-0", BEGIN_UJ)
    zones = scan(tmp_path)
    source = RaplSource(zones.packages, zones.dram, tmp_path / "cpuinfo", model())
    source.components()
    source.read(0.0)
    (source_zone / "energy_uj").unlink()
    (reading,) = source.read(1.0)
    assert (reading.counter_j, reading.flags) == (None, ("unreadable",))
    assert reading.integrated_j == pytest.approx(MODEL_W)


def test_a_broken_model_does_not_stop_the_counter(tmp_path: Path) -> None:
    def broken() -> list[Any]:
        raise RuntimeError("planted")

    window = whole(tmp_path, steady(65.0), beside=HostModelSource(broken))
    assert window.energy_by_source_j == {"counter": pytest.approx(65.0 * LAST_S)}


@pytest.mark.parametrize(
    ("tdp_w", "is_known", "zones", "most_w"),
    [
        (8.0, False, 1, 2000.0),
        (28.0, True, 1, 300.0),
        (125.0, True, 1, 1250.0),
        (700.0, True, 2, 2000.0),
    ],
)
def test_the_power_bound_of_a_package_follows_its_tdp(
    monkeypatch: pytest.MonkeyPatch, tdp_w: float, is_known: bool, zones: int, most_w: float
) -> None:
    monkeypatch.setattr(codecarbon_parts, "is_installed", lambda: True)
    cpu = CpuModel("cpu", tdp_w, is_known)
    assert max_zone_power_w([None] * zones, lambda: cpu) == most_w


class FakeGpu:
    """A device of 100 W under a limit of 300 W, whose counter jumps once."""

    def __init__(self, jump_j: float) -> None:
        self._jump_j = jump_j

    def components(self) -> list[Component]:
        return [Component("gpu:1", "gpu", "GPU", "counter", 0.05, power_limit_w=300.0)]

    def sample(self, now_s: float) -> list[float]:
        return [100.0]

    def read(self, now_s: float) -> list[Reading]:
        counter_j = 1e6 + 100.0 * now_s + (self._jump_j if now_s >= 20 else 0.0)
        return [Reading(now_s, counter_j, None, 100.0, component="gpu:1")]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("jump_j", "is_energy"), [(500.0, True), (1000.0, False), (1e9, False)])
def test_a_device_is_not_charged_more_than_it_can_draw(jump_j: float, is_energy: bool) -> None:
    readings: list[Reading] = []
    now_s = [0.0]
    meter = Meter([FakeGpu(jump_j)], readings.extend, clock=lambda: now_s[0])
    meter.open(thread=False)
    for step in range(1, LAST_S + 1):
        now_s[0] = float(step)
        meter.edge()
    meter.close()
    window = EnergyLedger(readings, "counter").window(0.0, LAST_S)
    expected_j = 100.0 * LAST_S + (jump_j if is_energy else 0.0)
    assert window.energy_j == pytest.approx(expected_j)
    assert ("implausible_power" in window.flags) is not is_energy


class TickingGpu(FakeGpu):
    """The same, whose counter is watched between readings."""

    def counter_now_j(self, index: int) -> float:
        return 0.0

    def power_now_w(self, index: int) -> float:
        return 100.0


def test_a_jump_that_a_tick_sees_first_is_not_energy_either() -> None:
    metered_gpu = MeteredSource(TickingGpu(jump_j=1e9))
    (before,) = metered_gpu.read(19.0)
    tick = metered_gpu.read_tick(0, (before.counter_j or 0.0) + 1e9, "tick", 19.1)
    assert tick.counter_j is None
    (after,) = metered_gpu.read(20.0)
    (later,) = metered_gpu.read(21.0)
    assert (after.flags, later.flags) == (("implausible_power",), ())
