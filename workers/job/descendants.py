"""Processes by ancestry: as long as an ancestor adopts orphans, no descendant can escape by a
new session, a cleared environment or a double fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

PROC = Path("/proc")
TIMEOUT_S = 5.0
PAUSE_S = 0.01
_PR_SET_CHILD_SUBREAPER = 36


def take_in_orphans(enabled: bool = True) -> None:
    """From now on, make orphans among this process's descendants its own children."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0)


def descendants(ancestor: int, spared: Collection[int] = ()) -> set[int]:
    """Live descendants of ``ancestor``, without the ``spared`` ones and their descendants."""
    if ancestor == os.getpid() and not _has_children():
        return set()
    children: dict[int, list[int]] = {}
    for name in os.listdir(PROC):
        if name.isdigit() and (parent := _live_parent(name)) is not None:
            children.setdefault(parent, []).append(int(name))
    below: set[int] = set()
    waiting = [ancestor]
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), ()) if pid not in spared]
        waiting += new
        below.update(new)
    return below


def kill_descendants(
    spared: Collection[int] = (), *, timeout_s: float = TIMEOUT_S
) -> tuple[int, float]:
    """Kills all descendants of this process, and reaps those that are its children.

    Args:
        spared: Children to keep alive, with all their descendants.
        timeout_s: Seconds after which to give up, since a process cannot be killed.

    Returns:
        Number of processes killed, and CPU seconds of those reaped here.
    """
    killed: set[int] = set()
    cpu_s = 0.0
    deadline_s = time.monotonic() + timeout_s
    while alive := descendants(os.getpid(), spared):
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= alive
        if time.monotonic() > deadline_s:
            break
        time.sleep(PAUSE_S)
        cpu_s += _reap(killed)
    return len(killed), cpu_s + _reap(killed)


def _has_children() -> bool:
    """Whether this process has a child, ended or not: one system call, not a walk of /proc."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reap(pids: Collection[int]) -> float:
    cpu_s = 0.0
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            reaped, _, usage = os.wait4(pid, os.WNOHANG)
            cpu_s += usage.ru_utime + usage.ru_stime if reaped else 0.0
    return cpu_s


def _live_parent(name: str) -> int | None:
    """Pid of a process's parent; None if the process has ended."""
    try:
        fields = (PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else int(fields[1])
