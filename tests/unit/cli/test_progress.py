from __future__ import annotations

import io
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pricetag.cli.follow import PlainLines
from pricetag.cli.views import RunProgress


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def drawn(progress: RunProgress, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(progress)
    return out.getvalue()


def running(clock: Clock) -> RunProgress:
    progress = RunProgress("MiniLM [int8]", ["train", "quantize"], clock)
    progress.update("status", {"status": "running"})
    progress.update(
        "stage", {"key": "0-train", "kind": "train", "name": "train", "status": "running"}
    )
    clock.now_s = 30.0
    progress.update(
        "progress",
        {
            "key": "0-train",
            "done": 50,
            "total": 200,
            "unit": "step",
            "power_w": 61.25,
            "energy_kwh": 0.00051,
            "eta_s": 90.0,
        },
    )
    return progress


def test_stage_share_power_energy_and_time_left_are_shown() -> None:
    text = drawn(running(Clock()))
    assert "MiniLM [int8]  running  30 s" in text
    stage, coming, meters = text.splitlines()[1:4]
    assert stage.split()[:2] == [">", "train"]
    assert "25%" in stage
    assert "1:30 left" in stage
    assert coming.split() == ["quantize"]
    assert meters.split() == ["61.2", "W", "510", "mWh", "so", "far"]


def test_ended_stages_show_how_long_they_took() -> None:
    clock = Clock()
    progress = running(clock)
    clock.now_s = 125.0
    progress.update("stage", {"key": "0-train", "kind": "train", "status": "succeeded"})
    progress.update("status", {"status": "failed", "reason": {"message": "out of memory"}})
    text = drawn(progress)
    assert progress.finished
    assert "2:05" in text.splitlines()[1]
    assert "+ train" in text.splitlines()[1].replace("   ", " ")
    assert "out of memory" in text
    clock.now_s = 999.0
    assert drawn(progress) == text


def test_a_run_joined_late_shows_its_own_time() -> None:
    clock = Clock()
    progress = RunProgress("x", (), clock)
    progress.update("status", {"status": "running"})
    stage = {"key": "0", "kind": "train", "name": "train"}
    progress.update("stage", {**stage, "status": "running", "t_s": 2.0})
    progress.update("stage", {**stage, "status": "succeeded", "t_s": 3602.0})
    assert "1:00:00" in drawn(progress).splitlines()[1]
    clock.now_s = 58.0
    assert progress.elapsed_s == 3660.0
    assert "running  1:01:00" in drawn(progress)


def test_a_new_attempt_starts_with_an_empty_view() -> None:
    progress = running(Clock())
    progress.update("status", {"status": "queued", "reason": {"message": "the worker vanished"}})
    assert progress.reason == "the worker vanished"
    progress.update("status", {"status": "running"})
    assert progress.stages == []
    assert progress.reason is None


def test_a_request_to_stop_is_not_a_new_attempt() -> None:
    progress = running(Clock())
    progress.update("status", {"status": "running", "cancel_requested": True})
    assert [stage.key for stage in progress.stages] == ["0-train"]


def test_an_unknown_share_is_not_shown() -> None:
    progress = RunProgress("x")
    progress.update("progress", {"key": "0-command", "kind": "command", "done": 3, "total": None})
    assert progress.stages[0].ratio is None
    assert "%" not in drawn(progress)
    assert "0 W" not in progress.line()


def test_a_plain_line_has_all_figures() -> None:
    assert running(Clock()).line() == (
        "MiniLM [int8] | running | train 25% 1:30 left | 61.2 W | 510 mWh so far"
    )


def test_a_power_that_became_unknown_is_not_shown() -> None:
    progress = running(Clock())
    payload = {"key": "0-train", "energy_kwh": 0.00051}
    unknown = {"rapl:intel-rapl:0": "its counter is not moving"}
    progress.update("progress", {**payload, "power_w": 20.0, "power_unknown": unknown})
    assert "| 20.0 W without rapl:intel-rapl:0 | 510 mWh so far" in progress.line()
    progress.update("progress", {**payload, "power_w": None, "power_unknown": unknown})
    expected = "power unknown (rapl:intel-rapl:0: its counter is not moving)"
    assert f"| {expected} | 510 mWh so far" in progress.line()
    assert expected in drawn(progress)
    progress.update("progress", {**payload, "power_w": None})
    assert " W" not in progress.line().removesuffix("510 mWh so far")


def test_nothing_is_wider_than_the_terminal() -> None:
    progress = RunProgress("n" * 200, ["k" * 100], Clock())
    progress.update("stage", {"key": "0", "kind": "s" * 100, "status": "running"})
    for width in (40, 80):
        assert max(map(len, drawn(progress, width).splitlines())) <= width


def test_plain_lines_are_printed_on_changes_or_every_ten_seconds() -> None:
    clock = Clock()
    progress = running(clock)
    written: list[str] = []
    lines = PlainLines(progress, written.append, clock)
    lines()
    lines()
    assert len(written) == 1
    clock.now_s += 10.0
    lines()
    assert len(written) == 2
    progress.update("stage", {"key": "1-quantize", "kind": "quantize", "status": "running"})
    lines()
    assert len(written) == 3
    assert "quantize" in written[-1]


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=300),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
    st.just(10**400),
)


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["status", "stage", "progress", "power"]),
    payload=st.dictionaries(
        st.sampled_from(
            [
                *("key", "kind", "name", "status", "reason", "t_s", "done", "total", "unit"),
                *("message", "eta_s", "power_w", "energy_kwh", "projection", "parent_key"),
                "power_unknown",
            ]
        ),
        ODD,
    ),
)
def test_no_event_ends_the_view(kind: str, payload: dict[str, Any]) -> None:
    progress = running(Clock())
    progress.update(kind, payload)
    drawn(progress)
    assert "\n" not in progress.line()
    progress.update("stage", {"key": "after", "status": "running"})
    assert progress.stages[-1].key == "after"


@pytest.mark.parametrize("value", ["many", [], {}, True, None, math.inf, math.nan, -1, 10**400])
@pytest.mark.parametrize("field", ["done", "total", "power_w", "energy_kwh", "eta_s"])
def test_a_figure_that_is_not_a_number_ends_no_progress(field: str, value: Any) -> None:
    progress = running(Clock())
    progress.update("progress", {"key": "0-train", "done": 50, "total": 200, field: value})
    assert "train" in progress.line()
    assert "train" in drawn(progress)
