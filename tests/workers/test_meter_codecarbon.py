"""Where the host model and the second opinion depend on CodeCarbon's internals."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
from codecarbon import OfflineEmissionsTracker
from codecarbon.core.hardware_cache import clear_cache
from codecarbon.external.hardware import GPU

from pricetag.metering import Reading, codecarbon_parts, open_sources, prepare
from pricetag.metering.codecarbon_parts import CpuModel
from pricetag.metering.codecarbon_tracker import CodeCarbonTracker
from pricetag.metering.host_model import CpuLoadModel
from pricetag.metering.meter import Meter
from pricetag.metering.second_opinion import SecondOpinion


def test_the_installed_version_is_the_reviewed_one() -> None:
    assert codecarbon_parts.installed_version() == "3.3.2"


@pytest.mark.parametrize("name", ["__init__", "start", "stop"])
def test_the_decorators_that_swallow_exceptions_can_be_taken_off(name: str) -> None:
    assert callable(getattr(OfflineEmissionsTracker, name).__wrapped__)


def test_the_cpu_is_looked_up_once() -> None:
    prepare()
    assert prepare() < 0.05
    cpu = codecarbon_parts.cpu_model()
    assert cpu is not None
    assert cpu.tdp_w >= 4.0 * (1 if cpu.is_known else (os.cpu_count() or 1))


def test_the_load_model_follows_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    times = psutil.cpu_times()
    zero = times._replace(**dict.fromkeys(times._fields, 0.0))
    now = [zero]
    monkeypatch.setattr(psutil, "cpu_times", lambda: now[0])
    model = CpuLoadModel(CpuModel("Test CPU", 200.0, True))
    for busy_s, idle_s, expected_w in ((0.0, 1.0, 20.0), (1.0, 1.0, 42.5), (4.0, 0.0, 200.0)):
        now[0] = now[0]._replace(user=now[0].user + busy_s, idle=now[0].idle + idle_s)
        assert model.power_w() == pytest.approx(expected_w)
    assert model.power_w() is None  # no CPU time was counted at all


def test_opening_the_host_model_does_not_delay_a_job() -> None:
    prepare()
    opened_s: list[float] = []
    # Others use the machine too: one opening in twenty is without them.
    while not opened_s or (min(opened_s) > 0.25 and len(opened_s) < 20):
        records: list[Reading] = []
        meter = Meter(open_sources([], environ={"PRICETAG_METER_HOST": "model"}), records.extend)
        began_s = time.perf_counter()
        components = meter.open()
        opened_s.append(time.perf_counter() - began_s)
        time.sleep(0.4)
        meter.close()
    assert min(opened_s) < 0.25
    assert [component.id for component in components] == ["cpu", "ram"]
    last = {record.component: record for record in records}
    for component in components:
        integrated_j = last[component.id].integrated_j
        assert isinstance(integrated_j, float)
        assert integrated_j > 0.0


def test_an_empty_device_list_stays_empty_despite_codecarbon_s_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its cache makes "every device" of "no device" from the second tracker on."""
    monkeypatch.setattr("codecarbon.core.gpu.is_nvidia_system", lambda: True)
    clear_cache()
    try:
        for _ in range(2):
            tracker = CodeCarbonTracker([])
            tracker.start()
            hardware = tracker._tracker._hardware
            assert not [item for item in hardware if isinstance(item, GPU)]
            assert tracker.stop()["gpu_kwh"] is None
    finally:
        clear_cache()


def test_a_failure_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise OSError("no hardware today")

    monkeypatch.setattr(OfflineEmissionsTracker, "_ensure_hardware_ready", fail)
    tracker = CodeCarbonTracker([])
    with pytest.raises(OSError, match="no hardware today"):
        tracker.start()


@pytest.mark.parametrize("text", [b"this is not an ini file\n= = =\n[codecarbon\n", b"\xff\xfe\0"])
def test_a_configuration_that_cannot_be_read_becomes_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    (tmp_path / ".codecarbon.config").write_bytes(text)
    monkeypatch.chdir(tmp_path)
    opinion = SecondOpinion()
    opinion.start()
    record = opinion.stop(timeout_s=30.0)
    assert record["energy_kwh"] is None
    assert record["reason"].startswith("CodeCarbon failed: ")
