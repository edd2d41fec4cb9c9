"""The benchmark of readings and streams: CPU time of groups of processes, and goals."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.ingest import cpu
from benchmarks.ingest.measure import Figure, Load

BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"


def test_cpu_is_that_of_a_group_s_processes_and_of_their_children() -> None:
    before = cpu.now({"own": [os.getpid()]})
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        groups = {"own": [os.getpid()], "child": [child.pid]}
        living = cpu.now(groups)
        child.communicate(b"\n")
    ended = cpu.now({"own": [os.getpid()]})
    assert living.parts_s["child"] >= 0.25
    assert living.parts_s["own"] - before.parts_s["own"] >= 0.25
    assert ended.parts_s["own"] - before.parts_s["own"] >= 0.25
    used = ended.since(before)
    assert used["own"] == pytest.approx(
        (ended.parts_s["own"] - before.parts_s["own"]) / (ended.at_s - before.at_s)
    )
    assert used["others"] >= 0


@pytest.mark.parametrize(
    ("value", "goal", "is_over"), [(99.0, 100.0, False), (101.0, 100.0, True), (1e9, None, False)]
)
def test_a_figure_above_its_goal_is_marked(value: float, goal: float | None, is_over: bool) -> None:
    figure = Figure("readings: p95 of a batch", value, "ms", 0.25, goal)
    assert figure.is_over is is_over
    assert str(figure).startswith("!" if is_over else " ")
    assert "others 0.25 cores" in str(figure)


def test_the_usual_load_is_64_devices_on_each_of_8_nodes() -> None:
    assert Load().readings_per_s == 512
