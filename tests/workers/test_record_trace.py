"""The recording of a device, on the simulated library, and its replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.metering.meter import Meter
from pricetag.metering.nvml import NvmlSource
from pricetag.metering.source import Reading
from tests.support.fake_nvml import FakeDevice, FakeTrace, build_fake_nvml, gpu_uuid
from tests.support.meters import Clock, booked
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.support.recorded import RecordedDevice
from tests.support.replay import load_trace

REPOSITORY = Path(__file__).parents[2]
WATTS = 240.0


class One:
    def __init__(self, device: RecordedDevice) -> None:
        self.devices = [device]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("record")
    trace = FakeTrace([FakeDevice(gpu_uuid(1), base_w=WATTS)], tick_s=0.1)
    command = [sys.executable, "-m", "benchmarks.record_trace", "--work", "none", "--each", "1"]
    subprocess.run(
        [*command, "--idle", "1.2", "--train", "1.5", "--out", str(folder / "out")],
        cwd=REPOSITORY,
        env={**os.environ, **build_fake_nvml(folder, trace)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder / "out", json.loads((folder / "out" / "summary.json").read_text())


def test_a_session_is_summarized(recorded: tuple[Path, dict[str, Any]]) -> None:
    _, summary = recorded
    assert summary["counter_update_s"] == pytest.approx(0.1, abs=0.02)
    assert summary["idle_w"] == pytest.approx(WATTS, rel=0.1)
    assert summary["idle_power_mean_w"] == pytest.approx(WATTS)
    names = [window["name"] for window in summary["windows"]]
    assert names == ["idle", "0.2 s", "0.5 s", "1 s", "2 s", "5 s", "training"]
    longest = summary["windows"][-2]
    true_j = WATTS * (longest["end_s"] - longest["start_s"])
    for meter in ("pricetag_j", "counter_j", "integral_j", "codecarbon_j"):
        assert longest[meter] == pytest.approx(true_j, rel=0.03)


def test_a_recorded_trace_is_replayed_through_nvml(recorded: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = recorded
    rows = load_trace(folder / "trace.csv")[gpu_uuid(1)]
    assert len(rows) > 50  # a row an update
    device = RecordedDevice(folder / "trace.csv")
    clock, records = Clock(0.0), list[Reading]()
    with replayed(NvmlReplay(One(device), clock)):
        meter = Meter([NvmlSource([device.uuid])], records.extend, clock)
        meter.open(thread=False)
        for edge_s in (1.03, 6.51):
            while (pause_s := meter.look_pause_s()) is not None:
                clock.now_s += pause_s
                meter.look()
            while clock.now_s < edge_s - 0.1:
                clock.now_s += 0.1
                meter.poll()
            clock.now_s = edge_s
            meter.edge()
        while (pause_s := meter.look_pause_s()) is not None:
            clock.now_s += pause_s
            meter.look()
        meter.close()
    window = EnergyLedger(booked(records, f"gpu:{device.uuid}")).window(1.03, 6.51)
    assert window.energy_j == pytest.approx(WATTS * 5.48, rel=0.01)
    assert "edge_aligned" in window.flags
    assert summary["device"] == "NVIDIA Pretended 80GB"
