"""A worker that is asked to stop ends, even if it is stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STUCK = """
import asyncio, sys, time
from workers.node.stop_signals import StopSignals

async def serve(kind, limit_s):
    stopped = asyncio.Event()
    StopSignals(stopped.set, limit_s).install(asyncio.get_running_loop())
    print("ready", flush=True)
    await stopped.wait() if kind != "blocked" else time.sleep(600)
    print("stopping", flush=True)
    if kind == "orderly":
        return
    if kind == "thread":  # asyncio.run waits for it without limit
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
        return
    await asyncio.Event().wait()

asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def start(started: list[subprocess.Popen[str]], kind: str, limit_s: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, kind, str(limit_s)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_stops_in_order(
    started: list[subprocess.Popen[str]], signum: signal.Signals
) -> None:
    process = start(started, "orderly", 60)
    os.kill(process.pid, signum)
    assert process.wait(60) == 0


@pytest.mark.parametrize("kind", ["deaf", "blocked", "thread"])
def test_a_second_signal_ends_a_worker_that_is_stuck(
    started: list[subprocess.Popen[str]], kind: str
) -> None:
    process = start(started, kind, 600)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(process.pid, signal.SIGTERM)  # the same request, by another way
    time.sleep(0.7)
    assert process.poll() is None
    while process.poll() is None:  # a busy machine may hand over all signals so far at once
        os.kill(process.pid, signal.SIGTERM)
        time.sleep(0.7)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("kind", ["deaf", "blocked", "thread"])
def test_a_worker_that_does_not_stop_in_time_ends_by_force(
    started: list[subprocess.Popen[str]], kind: str
) -> None:
    process = start(started, kind, 0.5)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 1
    assert process.stderr is not None
    assert "did not stop within 0.5 s" in process.stderr.read()
