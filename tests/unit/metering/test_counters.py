"""Counters that are read once, continuing the readings of an earlier process."""

from __future__ import annotations

from pathlib import Path

import pytest

from pricetag.metering.counters import continued_j, read_on
from pricetag.metering.source import Reading
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.meters import Clock
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.unit.metering.test_rapl import RANGE_UJ, put, zone

RANGE_J = RANGE_UJ / 1e6


@pytest.mark.parametrize(
    ("before_j", "now_j", "elapsed_s", "wraps_at_j", "energy_j"),
    [
        (100.0, 160.0, 1.0, None, 60.0),
        (100.0, 60.0, 1.0, None, None),  # reset
        (100.0, 160.0, 1.0, RANGE_J, 60.0),
        (RANGE_J - 10.0, 50.0, 1.0, RANGE_J, 60.0),
        (5 * RANGE_J + 100.0, 160.0, 1.0, RANGE_J, 60.0),  # unrolled before
        (100.0, 3000.0, 1.0, RANGE_J, None),  # no zone draws that
        (100.0, 60.0, 1.0, RANGE_J, None),
        (100.0, 160.0, 200.0, RANGE_J, None),  # it may have wrapped twice
    ],
)
def test_a_counter_is_continued_or_unknown(
    before_j: float, now_j: float, elapsed_s: float, wraps_at_j: float | None, energy_j: float
) -> None:
    energy = continued_j(before_j, now_j, elapsed_s, wraps_at_j=wraps_at_j)
    assert energy == (None if energy_j is None else pytest.approx(energy_j))


def test_zones_and_devices_are_read_on(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 7_000_000)
    device = FakeDevice(gpu_uuid(1), base_w=200.0)
    gpu = f"gpu:{device.uuid}"
    counted = {
        "rapl:package-0": Reading(10.0, RANGE_J + 5.0, None, None),
        "rapl:package-0-dram": Reading(10.0, 7.0, None, None),
        "rapl:package-9": Reading(10.0, 7.0, None, None),
        gpu: Reading(10.0, 5000.0, None, None),
        "cpu": Reading(10.0, None, 100.0, None),
    }
    put(package, 70_000_000)
    with replayed(NvmlReplay(FakeTrace([device], epoch_s=0.0), Clock(1.0))):
        readings = read_on(counted, 11.0, tmp_path, unaligned={"rapl:package-0-dram"})
    assert readings == {
        "rapl:package-0": Reading(11.0, RANGE_J + 70.0, None, None, component="rapl:package-0"),
        gpu: Reading(11.0, 5200.0, None, None, component=gpu),
    }


def test_a_device_that_was_reset_is_not_read_on(tmp_path: Path) -> None:
    device = FakeDevice(gpu_uuid(1), base_w=200.0, resets=(0.5,))
    counted = {f"gpu:{device.uuid}": Reading(10.0, 5000.0, None, None)}
    with replayed(NvmlReplay(FakeTrace([device], epoch_s=0.0), Clock(1.0))):
        assert read_on(counted, 11.0, tmp_path) == {}
