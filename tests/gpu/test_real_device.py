"""On a real device: counter, integral and CodeCarbon agree, and short windows are repeatable."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from benchmarks.record_trace import cuda_work, record
from pricetag.metering.nvml_devices import list_devices
from tests.support.replay import load_trace

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


def test_a_session_is_recorded_on_the_first_device(tmp_path: Path) -> None:
    device = list_devices()[0]
    work, train = cuda_work() if torch.cuda.is_available() else (time.sleep, time.sleep)
    summary = record(device, tmp_path, work, train, idle_s=10.0, train_s=15.0, each=4)
    update_s = summary["counter_update_s"]
    assert update_s is not None
    assert 0.005 < update_s < 0.25
    training = summary["windows"][-1]
    assert training["pricetag_j"] == pytest.approx(training["codecarbon_j"], rel=0.03)
    assert training["pricetag_j"] == pytest.approx(training["integral_j"], rel=0.15)
    assert "edge_aligned" in training.flags
    assert 0.0 < summary["idle_w"] <= (device.power_limit_w or 1500.0)
    spread = summary["short_windows"]["0.5"]
    assert spread["pricetag"] <= spread["codecarbon"] + 0.05
    assert list(load_trace(tmp_path / "trace.csv")) == [device.uuid]
