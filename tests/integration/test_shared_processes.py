"""Processes that the server lends to long work end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from tests.support.processes import gone

LENDER = """
import os, time
from app.services.processes import SharedProcesses
with SharedProcesses(1).lent() as processes:
    print(processes.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def wait_for(condition: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 30
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.05)
    return condition()


def test_processes_end_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", LENDER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_for(lambda: gone(pid))
