"""Finds processes that a job started and left behind, in any session or group.

A process may leave the job's group (torchrun gives each of its processes a session of its
own, a daemon creates one), and would then use the devices of the next job, unmetered. Its
environment, however, still contains the path of its attempt's event socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from pricetag.events import ENV_VAR

PROC = Path("/proc")
TIMEOUT_S = 5.0


def mark(events: Path) -> bytes:
    """Entry in the environment of every process that the job started."""
    return f"{ENV_VAR}={events}".encode()


def processes(events: Path) -> list[int]:
    """Ids of the processes whose environment contains this socket."""
    entry = mark(events)
    pids = []
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            # Processes of other users cannot be read, and must not be killed.
            with contextlib.suppress(OSError):
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    pids.append(int(folder.name))
    return pids


def kill(events: Path) -> int:
    """Kill these processes and wait until they are gone; returns their number."""
    killed: set[int] = set()
    deadline_s = time.monotonic() + TIMEOUT_S
    while (alive := processes(events)) and time.monotonic() < deadline_s:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(alive)
        time.sleep(0.01)
    return len(killed)
