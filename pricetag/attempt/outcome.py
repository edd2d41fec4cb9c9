"""Decides how an attempt ended, from the supervisor's observations."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

EndStatus = Literal["succeeded", "failed", "cancelled", "interrupted", "lost"]
Reason = dict[str, Any]

CGROUPS = Path("/sys/fs/cgroup")

EXIT_INTERRUPTED = 75
"""The child's exit code after it saved its state on request (EX_TEMPFAIL)."""


@dataclass(slots=True)
class Observed:
    """The supervisor's observations by the time the child has ended."""

    exit_code: int | None = None  # negative: killed by that signal
    finished: str | None = None  # the end reported by the child
    error: Reason | None = None  # the job's own error
    stop_reason: str | None = None  # why the supervisor stopped it
    stop_message: str | None = None  # details of the reason, if any
    hung: bool = False
    out_of_memory: bool = False
    details: dict[str, Any] = field(default_factory=dict)


_NOT_THE_JOBS = frozenset({"disk-full", "supervisor-failed", "artifact-store-unreachable"})
"""Errors of the worker, not of the job: on another worker, or later, the run may succeed."""


def decide(observed: Observed) -> tuple[EndStatus, Reason | None]:
    """The attempt's status, and the reason unless it succeeded.

    A job's own error is final. External causes (worker stopped, lease lost, killed, hung) and
    missing resources of the worker (disk space) are interruptions, after which the run is tried
    again.
    """
    if observed.finished == "succeeded" and observed.exit_code == 0:
        return "succeeded", None
    if observed.stop_reason == "cancelled":
        return "cancelled", {"code": "cancelled", "message": "canceled by request"}
    if observed.stop_reason == "budget-exceeded":
        message = observed.stop_message or "a budget was used up"
        return "cancelled", {"code": "budget-exceeded", "message": message}
    if observed.error is not None:
        is_workers = observed.error["code"] in _NOT_THE_JOBS
        return "interrupted" if is_workers else "failed", observed.error
    if observed.stop_reason is not None:
        return "interrupted", {
            "code": observed.stop_reason,
            "message": observed.stop_message
            or f"the worker stopped this attempt: {observed.stop_reason}",
        }
    if observed.hung:
        return "interrupted", {
            "code": "hung",
            "message": "the job sent no heartbeat and was killed",
        }
    if observed.out_of_memory:
        return "failed", {
            "code": "out-of-memory",
            "message": "the kernel killed the job: out of memory; "
            "use a smaller batch size or a machine with more memory",
        }
    return _unexplained(observed.exit_code)


def _unexplained(exit_code: int | None) -> tuple[EndStatus, Reason]:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        if -exit_code in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            return "interrupted", {
                "code": "child-killed",
                "message": f"the job's process was killed from outside ({name})",
            }
        return "failed", {"code": "child-crashed", "message": f"the job crashed ({name})"}
    return "failed", {
        "code": "child-exited",
        "message": f"the job ended with exit code {exit_code} without a reason; see its log",
    }


def oom_kills(cgroup_file: Path = Path("/proc/self/cgroup"), mount: Path = CGROUPS) -> int | None:
    """Number of out-of-memory kills in our cgroup; None if that is not reported."""
    try:
        place = cgroup_file.read_text().strip().rpartition("::")[2]
        lines = (mount / place.lstrip("/") / "memory.events").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return None
