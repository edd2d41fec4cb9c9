"""Workers of one machine: their parts of the host, and their devices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.meters import Clock
from workers.attempt.processes import ROOT
from workers.node.machine import HOST, Machine, only_one


@contextmanager
def machine(folder: Path, capacity: int, **options: float) -> Iterator[Machine]:
    made = Machine(folder, capacity, cores=16, clock=Clock(50.0), **options)
    made.open()
    try:
        yield made
    finally:
        made.close()


def test_a_sole_worker_of_one_place_reserves_the_machine(tmp_path: Path) -> None:
    with machine(tmp_path, 1) as alone:
        assert alone.reserve("a", units=1, components=[]) == 1.0
        alone.release("a")
        assert alone.reserve("b", units=1, components=[]) == 1.0


def test_places_share_the_host_and_several_devices_are_several_places(tmp_path: Path) -> None:
    with machine(tmp_path, 4) as first, machine(tmp_path, 4) as second:
        assert first.reserve("a", units=1, components=[]) == pytest.approx(1 / 8)
        assert second.reserve("b", units=4, components=[]) == pytest.approx(4 / 8)


def test_beside_a_job_that_reserved_everything_nothing_is_left_to_reserve(tmp_path: Path) -> None:
    with machine(tmp_path, 1) as first:
        assert first.reserve("a", units=1, components=[]) == 1.0
        with machine(tmp_path, 1) as late:
            assert late.is_taken()
            assert late.reserve("b", units=1, components=[]) == 0.0
            late.release("b")
            first.release("a")
            assert not late.is_taken()
            assert late.reserve("c", units=1, components=[]) == 0.5
            assert not late.is_taken()


def test_cores_by_setting_never_exceed_an_equal_part(tmp_path: Path) -> None:
    with machine(tmp_path, 2, cores_per_job=4.0) as worker:
        assert worker.reserve("a", units=1, components=[]) == pytest.approx(4 / 16)
    with machine(tmp_path, 2, cores_per_job=12.0) as worker:
        assert worker.reserve("a", units=1, components=[]) == pytest.approx(1 / 2)


def test_a_worker_that_ended_or_was_killed_counts_no_more(tmp_path: Path) -> None:
    code = f"""
import pathlib, sys, time
from workers.node.machine import Machine
other = Machine(pathlib.Path({str(tmp_path)!r}), 3)
other.open()
other.reserve("x", units=3, components=["gpu:a"])
print("ready", flush=True)
time.sleep(60)
"""
    with machine(tmp_path, 1) as here:
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"ready\n"
            assert here.use().held == {HOST, "gpu:a"}
            assert here.reserve("a", units=1, components=[]) == pytest.approx(1 / 4)
            here.release("a")
        finally:
            os.kill(other.pid, signal.SIGKILL)
            other.communicate()
        assert here.reserve("b", units=1, components=[]) == 1.0
        assert here.use().held == {HOST}
    assert list(tmp_path.glob("workers/*.share")) == []


def test_components_are_idle_from_their_release_on(tmp_path: Path) -> None:
    with machine(tmp_path, 2) as first, machine(tmp_path, 2) as second:
        first.reserve("a", units=1, components=["gpu:a"])
        assert second.use().idle_since_s("gpu:a") is None
        assert second.use().idle_since_s("gpu:b") == 0.0
        first.release("a")
        assert second.use().idle_since_s("gpu:a") == 50.0
        assert second.use().idle_since_s(HOST) == 50.0


def test_neighbors_are_counted_while_they_live(tmp_path: Path) -> None:
    with machine(tmp_path, 1) as first:
        assert first.neighbors() == 0
        with machine(tmp_path, 2) as second:
            assert (first.neighbors(), second.neighbors()) == (1, 1)
        assert first.neighbors() == 0


steps = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 5)), max_size=30)


@given(capacities=st.lists(st.integers(1, 5), min_size=3, max_size=3), steps=steps)
def test_parts_of_running_jobs_never_exceed_the_host(
    tmp_path_factory: pytest.TempPathFactory,
    capacities: list[int],
    steps: list[tuple[int, bool, int]],
) -> None:
    folder = tmp_path_factory.mktemp("machine")
    with ExitStack() as stack:
        workers: dict[int, Machine] = {}
        held: dict[tuple[int, int], tuple[int, float]] = {}
        for number, (index, release, units) in enumerate(steps):
            if index not in workers:
                workers[index] = stack.enter_context(machine(folder, capacities[index]))
            mine = [key for key in held if key[0] == index]
            reserved = sum(held[key][0] for key in mine)
            if release and mine:
                held.pop(mine[0])
                workers[index].release(str(mine[0]))
            elif reserved + units <= capacities[index]:
                key = (index, number)
                part = workers[index].reserve(str(key), units=units, components=[])
                held[key] = (units, part)
                assert 0.0 <= part <= units / capacities[index]
            assert sum(part for _, part in held.values()) <= 1.0 + 1e-12


def test_a_lock_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path / "lock") as first, only_one(tmp_path / "lock") as second:
        assert (first, second) == (True, False)
    with only_one(tmp_path / "lock") as again:
        assert again
