"""What a Slurm job holds of its node, and who else used it: evidence for its price tag."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pricetag.local.slurm import SlurmTask

SPOOL_VAR = "PRICETAG_SLURM_SPOOL"
SPOOL = Path("/var/spool/pricetag/slurm")
"""Where Prolog and Epilog note the jobs of a node, a file each."""

TIMEOUT_S = 3.0
"""Maximum wait for an answer of Slurm's controller."""

MOST_NAMED = 100
"""Maximum number of other jobs in a record."""

PROC_STAT = Path("/proc/stat")

_TOTAL = re.compile(r"\bCPUTot=(\d+)")

NOT_YET: Mapping[str, Any] = {
    "other_jobs": None,
    "other_jobs_source": None,
    "other_jobs_reason": "the meter ended before it could look for other jobs",
}
"""Record of the other jobs until the end, for a meter that is killed."""


class JobOnNode:
    """A job on this node: what it holds, and who else used the node.

    Args:
        task: The task that meters.
        begin_s: When its metering began, s since the epoch.
    """

    def __init__(self, task: SlurmTask, begin_s: float) -> None:
        self.task = task
        self._neighbors = Neighbors(task, begin_s)
        self._held: dict[str, Any] = {}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> JobOnNode:
        """The job of a request, from now on."""
        return cls(SlurmTask.from_record(record), time.time())

    def holds(self, ratio: float, unseen: int) -> None:
        """Sets its share of the node, and how many of its accelerators cannot be seen."""
        self._held = {"is_whole_node": ratio >= 1.0, "unseen_gpus": unseen}

    def neighbors(self) -> Mapping[str, Any]:
        """The other jobs on the node until now."""
        return self._neighbors.record(time.time())

    def record(self, neighbors: Mapping[str, Any]) -> dict[str, Any]:
        """What the price tag states of the job on this node."""
        return {**self.task.as_record(), **self._held, **neighbors}


def host_ratio(task: SlurmTask, affinity_ratio: float, cores: int) -> float:
    """The share of its machine that a job holds on this node.

    Slurm may count cores where the system counts threads. A job that is bound to its CPUs has
    the threads of its cores; of one that is not bound, the controller knows the node's total.

    Args:
        task: The task that meters.
        affinity_ratio: Share of the machine's CPUs on which this task may run.
        cores: CPUs of the machine, as the system counts them.
    """
    if task.cpus is None:
        return affinity_ratio
    counted = min(task.cpus / cores, 1.0)
    if counted >= 1.0:
        return 1.0
    if affinity_ratio < 1.0:
        return max(counted, affinity_ratio)
    total = _cpus_of_node(task.node)
    return min(task.cpus / total, 1.0) if total else counted


def _cpus_of_node(node: str) -> int | None:
    answer = _answer(_asked(["scontrol", "-o", "show", "node", node]))
    match = _TOTAL.search(answer[0] or "")
    return int(match[1]) if match else None


def accelerators_of_job(
    task: SlurmTask,
    everything: Sequence[str],
    visible: Sequence[str],
    *,
    is_limited: bool,
    is_whole_node: bool,
) -> tuple[list[str], int]:
    """The accelerators of a job on its node, and how many more it has that cannot be seen here.

    A task may see only its own accelerator of those of its job.

    Args:
        task: The task that meters.
        everything: UUIDs of all accelerators that can be read here, in the driver's order.
        visible: UUIDs of those that this task may use.
        is_limited: Whether variables limit what it may use.
        is_whole_node: Whether the job holds all CPUs of the node.
    """
    if task.gpus is None:
        # Where Slurm does not manage accelerators, they come with the node.
        return (list(visible) if is_limited or is_whole_node else []), 0
    if len(visible) >= task.gpus and is_limited:
        return list(visible), 0
    if len(everything) == task.gpus:
        return list(everything), 0
    indices = task.gpu_indices
    if len(indices) == task.gpus and all(index < len(everything) for index in indices):
        return [everything[index] for index in indices], 0
    known = list(visible) if is_limited else []
    return known, max(task.gpus - len(known), 0)


class Neighbors:
    """The other jobs on the node while a job is metered.

    The notes of Prolog and Epilog have all of them; without these scripts, the controller is
    asked at the start and the end.

    Args:
        task: The task that meters.
        begin_s: When its metering began, s since the epoch.
    """

    def __init__(self, task: SlurmTask, begin_s: float) -> None:
        self._task = task
        self._begin_s = begin_s
        # Only asked: the answer is read at the end.
        self._at_start = None if self._has_notes() else _asked(_squeue(task.node))

    def _has_notes(self) -> bool:
        return _note(self._task).is_file()

    def record(self, end_s: float) -> dict[str, Any]:
        """``{other_jobs, other_jobs_source, other_jobs_reason}`` until a time.

        Args:
            end_s: The time, s since the epoch.
        """
        if self._at_start is None:
            with suppress(OSError):
                others = _overlapping(self._task, self._begin_s, end_s)
                return _known(others, "notes of Prolog and Epilog")
        asked = [self._at_start, _asked(_squeue(self._task.node))]
        answers = [_answer(each) for each in asked if each is not None]
        texts = [text for text, _ in answers if text is not None]
        if not texts:
            return {
                "other_jobs": None,
                "other_jobs_source": None,
                "other_jobs_reason": answers[-1][1],
            }
        listed = {line.strip() for text in texts for line in text.splitlines() if line.strip()}
        return _known(listed - {self._task.job_id}, "squeue at the start and the end")


def _known(others: set[str], source: str) -> dict[str, Any]:
    listed = sorted(others)[:MOST_NAMED]
    return {"other_jobs": listed, "other_jobs_source": source, "other_jobs_reason": None}


def _spool() -> Path:
    return Path(os.environ.get(SPOOL_VAR) or SPOOL)


def _note(task: SlurmTask) -> Path:
    return _spool() / f"{task.node}.{task.job_id}.{task.restart}"


def _overlapping(task: SlurmTask, begin_s: float, end_s: float) -> set[str]:
    """Jobs of this node, without the task's own, that ran in an interval."""
    booted_s = _booted_s()
    others: set[str] = set()
    for path in _spool().iterdir():
        node, _, rest = path.name.rpartition(".")[0].rpartition(".")
        if node != task.node or rest == task.job_id:
            continue
        with suppress(OSError, ValueError):
            times = dict(_times(path.read_text(encoding="ascii")))
            start = times.get("start", 0.0)
            # Whatever ran before the machine started has ended, also without its Epilog.
            end = times.get("end", end_s if start >= booted_s else 0.0)
            if start <= end_s and end >= begin_s:
                others.add(rest)
    return others


def _times(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        yield name, float(value)


def _booted_s() -> float:
    with suppress(OSError, ValueError):
        for line in PROC_STAT.read_text(encoding="ascii").splitlines():
            if line.startswith("btime "):
                return float(line.split()[1])
    return 0.0


def _squeue(node: str) -> list[str]:
    return ["squeue", "--noheader", "--format=%A", "--states=RUNNING", f"--nodelist={node}"]


Asked = tuple["subprocess.Popen[str] | None", str]
"""A command that was started, and why it was not."""


def _asked(command: Sequence[str]) -> Asked:
    try:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        return None, f"{command[0]}: {error.strerror}"
    return started, command[0]


def _answer(asked: Asked) -> tuple[str | None, str]:
    """The output of a command, or None and the reason."""
    started, name = asked
    if started is None:
        return None, name
    try:
        text, _ = started.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()
        return None, f"{name} did not answer within {TIMEOUT_S:g} s"
    if started.returncode != 0:
        return None, f"{name} failed with exit code {started.returncode}"
    return text, ""
