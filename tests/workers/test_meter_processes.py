"""Whole processes that meter, on a simulated NVML that all of them share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.readings.ledger import WindowEnergy, window_energy
from pricetag.metering.journal import Journal, find_orphans
from pricetag.metering.source import Reading
from tests.support.fake_nvml import (
    FakeDevice,
    FakeTrace,
    build_fake_nvml,
    gpu_uuid,
    true_energy_j,
)
from tests.support.meters import booked

REPOSITORY = Path(__file__).parents[2]
FIRST, SECOND = gpu_uuid(1), gpu_uuid(2)


@pytest.fixture
def trace() -> FakeTrace:
    now_s = time.time()
    busy = FakeDevice(FIRST, base_w=300.0, power=((3.0, 500.0),))
    idle = FakeDevice(SECOND, base_w=70.0)
    return FakeTrace([busy, idle], epoch_s=now_s)


def start(
    folder: Path, trace: FakeTrace, seconds: float, *uuids: str, **variables: str
) -> subprocess.Popen[str]:
    environment = {**os.environ, **build_fake_nvml(folder, trace), **variables}
    environment.setdefault("PRICETAG_POWERCAP_ROOT", str(folder / "no-powercap"))
    command = [sys.executable, "-m", "tests.support.meter_process"]
    return subprocess.Popen(
        [*command, str(folder / "journal"), "attempt", str(seconds), *uuids],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    summary: dict[str, Any] = json.loads(output.splitlines()[-1])
    return summary


def records_of(folder: Path) -> list[dict[str, Any]]:
    journal = Journal.open_existing(folder / "journal" / "attempt.jsonl")
    records = journal.read_from(0, 100_000)
    journal.close()
    return records


def booked_window(records: list[dict[str, Any]], component: str) -> WindowEnergy:
    readings = [Reading.from_record(record) for record in records if record["type"] == "reading"]
    readings = booked(readings, component)
    return window_energy(readings, start_s=0.0, end_s=readings[-1].t_s)


def check_opinion(summary: dict[str, Any], trace: FakeTrace) -> None:
    """CodeCarbon saw what the first device, whose power only rises, used until it was stopped.

    Its duration and its figures are not of one moment: on a busy machine they differ.
    """
    opinion = summary["second_opinion"]
    lasted_s = opinion["duration_s"]
    low_j, high_j = (
        true_energy_j(trace, FIRST, end_s - lasted_s, end_s) for end_s in summary["stopped_at_s"]
    )
    assert 0.5 * low_j <= joules(opinion["gpu_kwh"]) <= 1.5 * high_j


def joules(kwh: float) -> float:
    return kwh * 3.6e6


def test_the_journal_adds_up_to_the_energy_of_the_devices(tmp_path: Path, trace: FakeTrace) -> None:
    summary = finish(start(tmp_path, trace, 4.0, FIRST))
    records = records_of(tmp_path)
    assert records[0]["type"] == "start"
    ids = [component["id"] for component in records[0]["components"]]
    assert ids == [f"gpu:{FIRST}", "cpu", "ram"]
    (opened_s, open_s), (close_s, closed_s) = summary["opened_at_s"], summary["closed_at_s"]
    low_j = true_energy_j(trace, FIRST, open_s, close_s)
    high_j = true_energy_j(trace, FIRST, opened_s, closed_s)
    window = booked_window(records, f"gpu:{FIRST}")
    assert window.energy_j is not None
    assert 0.99 * low_j <= window.energy_j <= 1.01 * high_j
    assert set(window.energy_by_source_j) == {"counter"}
    assert window.flags == ()


def test_the_second_opinion_agrees(tmp_path: Path, trace: FakeTrace) -> None:
    summary = finish(start(tmp_path, trace, 6.0, FIRST, CUDA_VISIBLE_DEVICES=FIRST))
    opinion = summary["second_opinion"]
    assert opinion["reason"] is None
    check_opinion(summary, trace)
    records = records_of(tmp_path)
    ram = booked_window(records, "ram")
    assert ram.energy_j is not None
    ram_w = ram.energy_j / (ram.end_s - ram.start_s)
    assert joules(opinion["ram_kwh"]) / opinion["duration_s"] == pytest.approx(ram_w, rel=0.5)


def test_a_job_without_devices_is_charged_for_none(tmp_path: Path, trace: FakeTrace) -> None:
    records = finish(start(tmp_path, trace, 2.0))
    opinion = records["second_opinion"]
    assert opinion["gpu_kwh"] is None
    assert "the attempt held none" in opinion["reason"]
    assert opinion["energy_kwh"] == pytest.approx(opinion["cpu_kwh"] + opinion["ram_kwh"])
    components = {record.get("component") for record in records_of(tmp_path)}
    assert components == {None, "cpu", "ram"}


def test_a_killed_meter_leaves_its_readings(tmp_path: Path, trace: FakeTrace) -> None:
    process = start(tmp_path, trace, 60.0, FIRST)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    time.sleep(2.3)
    process.kill()
    process.communicate()
    assert [path.name for path in find_orphans(tmp_path / "journal")] == ["attempt.jsonl"]
    window = booked_window(records_of(tmp_path), f"gpu:{FIRST}")
    assert window.covered_s >= 1.9
    assert window.energy_j is not None
    # 300 W, and 500 W from the third second of the trace on.
    assert 0.99 <= window.energy_j / (300.0 * window.covered_s) <= 1.01 * 500.0 / 300.0


OTHER_READER = """
import time
import pynvml
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByUUID({uuid!r})
before_s = time.time()
counter_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
print(before_s, time.time(), counter_mj)
"""


def test_every_process_sees_the_same_counter(tmp_path: Path) -> None:
    device = FakeDevice(
        FIRST, base_w=200.0, counter_mj=9000, resets=(2.0,), freezes=((3.0, 5.0),), power=((4, 90),)
    )
    trace = FakeTrace([FakeDevice(SECOND), device], epoch_s=time.time() - 10.0)
    environment: Mapping[str, str] = {**os.environ, **build_fake_nvml(tmp_path, trace)}
    code = OTHER_READER.format(uuid=FIRST)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        before_s, after_s, counter_mj = done.stdout.split()
        low_mj, high_mj = (
            device.counter_at_mj(float(at_s) - trace.epoch_s) for at_s in (before_s, after_s)
        )
        assert low_mj - 20 <= int(counter_mj) <= high_mj + 20


HOSTILE = {
    "CODECARBON_PUE": "3",
    "CODECARBON_FORCE_RAM_POWER": "5000",
    "CODECARBON_FORCE_CPU_POWER": "9000",
    "CODECARBON_GPU_IDS": "1",
    "CODECARBON_OUTPUT_METHODS": "csv",
    "CODECARBON_LOG_LEVEL": "debug",
    "CODECARBON_TRACKING_MODE": "process",
    "CODECARBON_CO2_SIGNAL_API_TOKEN": "token",
}
HOSTILE_FILE = """[codecarbon]
force_ram_power = 7000
pue = 4
cloud_provider = nowhere
"""


def test_a_laboratory_s_codecarbon_settings_change_nothing(
    tmp_path: Path, trace: FakeTrace
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".codecarbon.config").write_text(HOSTILE_FILE)
    summary = finish(start(tmp_path, trace, 3.0, FIRST, HOME=str(home), **HOSTILE))
    opinion = summary["second_opinion"]
    assert opinion["reason"] is None
    records = records_of(tmp_path)
    ram = booked_window(records, "ram")
    assert ram.energy_j is not None
    ram_w = ram.energy_j / (ram.end_s - ram.start_s)
    assert joules(opinion["ram_kwh"]) / opinion["duration_s"] == pytest.approx(ram_w, rel=0.5)
    check_opinion(summary, trace)
    cpu_limit_w = {c["id"]: c for c in records[0]["components"]}["cpu"]["power_limit_w"]
    assert joules(opinion["cpu_kwh"]) / opinion["duration_s"] <= 1.05 * cpu_limit_w
    assert not list(home.rglob("emissions.csv"))
    assert not (REPOSITORY / "emissions.csv").exists()


def test_without_nvidia_smi_codecarbon_s_gpu_figure_is_null(
    tmp_path: Path, trace: FakeTrace
) -> None:
    build_fake_nvml(tmp_path, trace)
    (tmp_path / "nvml-bin" / "nvidia-smi").unlink()
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(tmp_path / "nvml-lib"),
        "FAKE_NVML_TRACE": str(tmp_path / "nvml-trace.txt"),
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.meter_process",
            str(tmp_path / "journal"),
            "attempt",
            "2.5",
            FIRST,
        ],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    opinion = json.loads(done.stdout.splitlines()[-1])["second_opinion"]
    assert opinion["gpu_kwh"] is None
    assert opinion["energy_kwh"] is None
    assert opinion["ram_kwh"] > 0.0
    assert "nvidia-smi" in opinion["reason"]
