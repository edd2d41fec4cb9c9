"""CPU time of processes, from Linux's ``/proc``."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
IDLE = (3, 4)
"""Fields of ``/proc/stat``: idle, and waiting for disks."""


@dataclass(frozen=True)
class Times:
    """CPU times at one moment, in s.

    Attributes:
        at_s: The moment, on the machine's own clock.
        machine_s: Of everything on the machine.
        parts_s: Of groups of processes.
    """

    at_s: float
    machine_s: float
    parts_s: Mapping[str, float]

    def since(self, before: Times) -> dict[str, float]:
        """Mean use of each group since ``before``, in cores; ``others`` is everything else."""
        wall_s = self.at_s - before.at_s
        used = {
            name: (time_s - before.parts_s[name]) / wall_s for name, time_s in self.parts_s.items()
        }
        machine = (self.machine_s - before.machine_s) / wall_s
        return {**used, "others": max(machine - sum(used.values()), 0.0)}


def now(groups: Mapping[str, Sequence[int]]) -> Times:
    """The CPU times of groups of processes, each with its living and ended children.

    Args:
        groups: Process ids by the name of their group.
    """
    parts = {name: sum(map(_tree_s, pids)) for name, pids in groups.items()}
    return Times(time.monotonic(), _machine_s(), parts)


def _machine_s() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    busy = sum(int(ticks) for place, ticks in enumerate(fields) if place not in IDLE)
    return busy / CLOCK_TICKS


def _tree_s(pid: int) -> float:
    total_s = _process_s(pid)
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total_s += _tree_s(int(child))
    return total_s


def _process_s(pid: int) -> float:
    """CPU time of a process and of its children that have ended, in s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(ticks) for ticks in fields[11:15]) / CLOCK_TICKS
