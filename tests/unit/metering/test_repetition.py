"""Short work, repeated until it can be metered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import pricetag
from pricetag.events import LOCAL_VAR
from pricetag.metering.memory_model import machine_is_arm, memory_gib, memory_power_w
from pricetag.repetition import repeat_for
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.support.sensors import H100, PowerTrace, SimulatedDevice

WATTS = 300.0


class One:
    def __init__(self, device: SimulatedDevice) -> None:
        self.devices = [device]


@contextmanager
def card() -> Iterator[SimulatedDevice]:
    device = SimulatedDevice(H100, PowerTrace([(0.0, WATTS)]))
    began_s = time.monotonic() - 10.0
    with replayed(NvmlReplay(One(device), lambda: time.monotonic() - began_s)):
        yield device


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_call_of_milliseconds_has_an_energy() -> None:
    called: list[float] = []

    def work() -> None:
        called.append(time.perf_counter())
        time.sleep(0.005)

    with card() as device:
        repeated = pricetag.repeat(work, min_s=0.6, warm_up=2, include_host=False)
    assert repeated.calls == len(called) - 2
    assert repeated.duration_s >= 0.6
    assert called[-2] - called[2] < 0.6  # the last call began before the time was over
    assert repeated.energy_j == pytest.approx(WATTS * repeated.duration_s, rel=0.05)
    assert repeated.energy_per_call_j == pytest.approx(WATTS * repeated.seconds_per_call, rel=0.05)
    assert list(repeated.components) == [f"gpu:{device.uuid}"]
    assert repeated.missing == ()


def test_work_that_stays_in_a_queue_is_waited_for() -> None:
    order: list[str] = []
    with card():
        pricetag.repeat(
            lambda: order.append("call"),
            min_s=1e-9,
            synchronize=lambda: order.append("wait"),
            include_host=False,
        )
    assert order == ["call", "wait", "call", "wait"]


def test_the_former_name_of_synchronize_is_deprecated() -> None:
    order: list[str] = []
    with card(), pytest.warns(DeprecationWarning, match="use synchronize"):
        pricetag.repeat(
            lambda: order.append("call"),
            min_s=1e-9,
            synchronise=lambda: order.append("wait"),
            include_host=False,
        )
    assert order == ["call", "wait", "call", "wait"]
    with pytest.raises(TypeError, match="omit `synchronise`"):
        pricetag.repeat(print, synchronize=print, synchronise=print)


def test_devices_that_this_process_may_not_see_are_not_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with card():
        repeated = pricetag.repeat(lambda: None, min_s=0.01, include_host=False)
    assert (repeated.energy_j, repeated.energy_per_call_j) == (None, None)
    assert repeated.missing == ("there is no meter on this machine",)


def test_work_that_fails_ends_the_meter() -> None:
    def work() -> None:
        raise OSError("broken")

    with card(), pytest.raises(OSError, match="broken"):
        pricetag.repeat(work, warm_up=0, min_s=0.1, include_host=False)


def test_progress_is_reported_about_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("pricetag.repetition.time.perf_counter", lambda: now_s[0])
    reports: list[tuple[int, float]] = []

    def work() -> None:
        now_s[0] += 0.25

    calls, duration_s = repeat_for(work, 2.6, lambda calls, s: reports.append((calls, s)))
    assert (calls, duration_s) == (11, 2.75)
    assert reports == [(4, 1.0), (8, 2.0)]


@pytest.mark.parametrize("min_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_must_be_a_positive_number(min_s: float) -> None:
    with pytest.raises(ValueError, match="min_s must be above 0 s"):
        pricetag.repeat(lambda: None, min_s=min_s)


def test_a_warm_up_is_not_negative() -> None:
    with pytest.raises(ValueError, match="warm_up must be 0 or more"):
        pricetag.repeat(lambda: None, warm_up=-1)


@pytest.mark.parametrize("where", ["1", None])
def test_memory_is_modelled_by_one_rule_inside_and_outside_a_local_run(
    monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    size_gib = memory_gib()
    assert size_gib is not None
    monkeypatch.setenv("PRICETAG_METER_HOST", "model")
    if where is not None:
        monkeypatch.setenv(LOCAL_VAR, where)
    ram = pricetag.repeat(lambda: time.sleep(0.01), min_s=0.2).components["ram"]
    power_w = memory_power_w(size_gib, is_arm=machine_is_arm())
    assert ram.energy_j == pytest.approx(power_w * ram.duration_s)
