"""How a second opinion behaves, with a tracker that the test controls."""

from __future__ import annotations

import configparser
import threading
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError

import pytest

from pricetag.metering import codecarbon_parts
from pricetag.metering.codecarbon_figures import Figures
from pricetag.metering.second_opinion import SecondOpinion
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.nvml_replay import NvmlReplay, replayed

FIGURES = Figures(
    duration_s=3.0, cpu_kwh=0.1, gpu_kwh=0.2, ram_kwh=0.3, energy_kwh=0.6, reason=None
)


class Tracker:
    def __init__(self, indices: Sequence[int] = ()) -> None:
        self.indices = list(indices)
        self.started = threading.Event()
        self.error: BaseException | None = None
        self.may_start, self.may_stop = threading.Event(), threading.Event()
        self.may_start.set()
        self.may_stop.set()

    def start(self) -> None:
        self.may_start.wait()
        self.started.set()
        if self.error is not None:
            raise self.error

    def stop(self) -> Figures:
        self.may_stop.wait()
        return FIGURES


def test_the_record_has_the_journal_s_fields() -> None:
    tracker = Tracker()
    opinion = SecondOpinion(make_tracker=lambda indices: tracker)
    opinion.start()
    assert tracker.started.wait(60.0)
    assert opinion.stop() == {
        "tool": "codecarbon",
        "version": "3.3.2",
        "duration_s": 3.0,
        "cpu_kwh": 0.1,
        "gpu_kwh": 0.2,
        "ram_kwh": 0.3,
        "energy_kwh": 0.6,
        "reason": None,
    }


def test_a_failure_is_null_with_its_reason() -> None:
    tracker = Tracker()
    tracker.error = KeyError("no such country")
    opinion = SecondOpinion(make_tracker=lambda indices: tracker)
    opinion.start()
    record = opinion.stop()
    figures = ("duration_s", "cpu_kwh", "gpu_kwh", "ram_kwh", "energy_kwh")
    assert [record[name] for name in figures] == [None] * 5
    assert record["reason"] == "CodeCarbon failed: KeyError: 'no such country'"


def test_a_tracker_that_hangs_delays_nothing() -> None:
    tracker = Tracker()
    tracker.may_stop.clear()
    opinion = SecondOpinion(make_tracker=lambda indices: tracker)
    opinion.start()
    assert tracker.started.wait(60.0)
    record = opinion.stop(timeout_s=0.1)
    tracker.may_stop.set()  # it hung until here
    assert record["energy_kwh"] is None
    assert record["reason"] == "CodeCarbon did not answer within 0.1 s"


def test_a_tracker_that_starts_slowly_delays_nothing() -> None:
    tracker = Tracker()
    tracker.may_start.clear()
    opinion = SecondOpinion(make_tracker=lambda indices: tracker)
    opinion.start()
    assert not tracker.started.is_set()
    tracker.may_start.set()
    assert opinion.stop(timeout_s=60.0)["reason"] is None


def test_a_tracker_that_was_never_started_gives_that_reason() -> None:
    assert SecondOpinion().stop()["reason"] == "it was not started"


def test_a_tracker_starts_once() -> None:
    opinion = SecondOpinion(make_tracker=Tracker)
    opinion.start()
    with pytest.raises(RuntimeError, match="once"):
        opinion.start()
    opinion.stop()


def test_without_codecarbon_the_reason_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecarbon_parts, "is_installed", lambda: False)
    opinion = SecondOpinion()
    opinion.start()
    record = opinion.stop()
    assert (record["version"], record["reason"]) == (None, "CodeCarbon is not installed")


def test_devices_are_passed_as_nvml_indices() -> None:
    trace = FakeTrace([FakeDevice(gpu_uuid(number)) for number in (1, 2, 3)], epoch_s=0.0)
    made: list[Tracker] = []

    def make(indices: Sequence[int]) -> Tracker:
        made.append(Tracker(indices))
        return made[-1]

    with replayed(NvmlReplay(trace, lambda: 0.0)):
        opinion = SecondOpinion([gpu_uuid(3), gpu_uuid(1)], make_tracker=make)
        opinion.start()
        assert opinion.stop()["reason"] is None
        unknown = SecondOpinion([gpu_uuid(9)], make_tracker=make)
        unknown.start()
        assert f"NVML does not know {gpu_uuid(9)}" in unknown.stop()["reason"]
        sliced = SecondOpinion(["MIG-1"], make_tracker=make)
        sliced.start()
        assert "MIG" in sliced.stop()["reason"]
    assert [tracker.indices for tracker in made] == [[2, 0]]


@pytest.mark.parametrize(
    "error",
    [
        configparser.MissingSectionHeaderError(".codecarbon.config", 1, "this is not an ini file"),
        SystemExit(1),
        MemoryError(),
        RecursionError("x" * 10_000),
    ],
)
def test_any_error_of_a_tracker_becomes_the_reason(error: BaseException) -> None:
    tracker = Tracker()
    tracker.error = error
    opinion = SecondOpinion(make_tracker=lambda indices: tracker)
    opinion.start()
    record = opinion.stop()
    assert record["energy_kwh"] is None
    assert record["reason"].startswith(f"CodeCarbon failed: {type(error).__name__}")
    assert len(record["reason"]) <= 500


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1.0])
def test_figures_that_are_not_an_energy_are_null(odd: float) -> None:
    class Odd(Tracker):
        def stop(self) -> Figures:
            return {**FIGURES, "cpu_kwh": odd}

    tracker = Odd()
    opinion = SecondOpinion(make_tracker=lambda indices: tracker)
    opinion.start()
    assert tracker.started.wait(60.0)
    record = opinion.stop()
    assert (record["cpu_kwh"], record["ram_kwh"]) == (None, 0.3)
    assert record["reason"] == "implausible energies from CodeCarbon: cpu_kwh"


def test_a_system_that_cannot_start_a_thread_has_no_second_opinion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    opinion = SecondOpinion(make_tracker=lambda indices: Tracker())
    monkeypatch.setattr(threading.Thread, "start", start)
    opinion.start()
    assert opinion.stop()["reason"] == "it could not be started: can't start new thread"


def test_a_broken_installation_does_not_affect_our_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise PackageNotFoundError("codecarbon")

    monkeypatch.setattr(codecarbon_parts, "installed_version", missing)
    assert SecondOpinion().stop()["version"] is None
