"""Activity of a job on shared hardware: CPU seconds of its processes and of the machine.

Both figures are cumulative, so a job's share of any interval is a ratio of two differences.
Neither ever decreases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

PROC = Path("/proc")

TICKS_PER_S = os.sysconf("SC_CLK_TCK")

CPUCLOCK_SCHED = 2
"""The clock type from which ``clock_getcpuclockid`` builds a process's clock id."""

LOOK_COST_RATIO = 0.001
"""Maximum share of a core spent looking for new processes."""

LOOK_PERIOD_S = 5.0
"""Maximum time between two scans, however long a scan takes."""

FOREIGN_AGAIN_S = 60.0
"""Interval after which every process is checked again, since pids are reused."""

ROUNDING_S = 2 / TICKS_PER_S
"""Rounding of a parent's total for its children: user and system time, each in ticks."""

Busy = tuple[float | None, float | None]
"""Cumulative activity of the job and of all users, in s; None where unknown."""


class Activity(Protocol):
    """Measures a job's share of a component."""

    def busy(self, now_s: float) -> Busy:
        """Activity so far; called at every reading, in the meter's thread."""
        ...

    def close(self) -> None:
        """Release everything that was opened."""
        ...


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One process as reported by ``/proc/<pid>/stat``.

    Attributes:
        start_ticks: Start time; together with the pid it identifies the process uniquely.
        busy_s: Its own CPU time, ended threads included.
        waited_s: CPU time of its children that ended and were waited for.
    """

    pid: int
    parent: int
    group: int
    session: int
    start_ticks: int
    busy_s: float
    waited_s: float

    @property
    def total_s(self) -> float:
        """CPU time of this process and of the children it waited for."""
        return self.busy_s + self.waited_s


def parse_stat(text: bytes) -> ProcessStat:
    """One line of ``/proc/<pid>/stat``; the process name may contain blanks and parentheses."""
    pid, _, _ = text.partition(b" ")
    fields = text.rpartition(b")")[2].split()
    return ProcessStat(
        pid=int(pid),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        busy_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
        waited_s=(int(fields[13]) + int(fields[14])) / TICKS_PER_S,
    )


def process_cpu_s(pid: int) -> float | None:
    """CPU seconds of a live process by its own clock, finer than ticks, for short jobs.

    Returns:
        None where there is no such clock; use ``/proc`` then.
    """
    try:
        return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return None


def machine_busy_s(proc: Path = PROC) -> float | None:
    """CPU seconds in which any core of the machine was busy since it started.

    Idle time, disk waits and time stolen by the hypervisor do not count; time of guests is
    already part of user time.

    Returns:
        None where the system does not report it, as in some sandboxes.
    """
    try:
        with open(proc / "stat", "rb") as file:
            fields = file.readline().split()
    except OSError:
        return None
    if len(fields) < 8 or fields[0] != b"cpu":
        return None
    user, nice, system, idle, _iowait, irq, softirq = (int(field) for field in fields[1:8])
    busy_ticks = user + nice + system + irq + softirq
    return busy_ticks / TICKS_PER_S if busy_ticks + idle > 0 else None


class ProcessTree:
    """CPU time of a process and of all its descendants, running or ended.

    A process belongs to the tree if its parent does, if its group or session was started by a
    member (a daemon keeps both when its parent ends), or if its environment carries the marks.
    The process that asks is none of it.

    The final CPU time of an ended process is in its parent's total if the parent waited for
    it; where no member of the tree did, its last reported value is kept here.

    Args:
        marks: ``NAME=value`` pairs that only the tree's processes all have in their environment.
        proc: The kernel's process file system.
        cpu_s: CPU seconds of a live process; None where only ``/proc`` reports them.
        clock: Monotonic seconds.
        early_s: How much earlier than the root other processes of the tree may begin, in s.
    """

    def __init__(
        self,
        marks: Sequence[bytes] = (),
        *,
        proc: Path = PROC,
        cpu_s: Callable[[int], float | None] = process_cpu_s,
        clock: Callable[[], float] = time.monotonic,
        early_s: float = 0.0,
    ) -> None:
        self._marks = frozenset(marks)
        self._early_ticks = int(early_s * TICKS_PER_S)
        self._proc = proc
        self._cpu_s = cpu_s
        self._clock = clock
        self._root_start_ticks = 0
        self._root: int | None = None
        self._root_pid: int | None = None
        self._end: tuple[int, float] | None = None
        self._with_root_s = 0.0  # CPU time kept from the root and the processes that ended with it
        self._members: dict[int, ProcessStat] = {}
        self._leaders: set[int] = set()
        self._foreign: set[int] = set()
        self._foreign_since_s = 0.0
        self._next_look_s = 0.0
        self._retired_s = 0.0
        self._reported_s = 0.0

    def adopt(self, pid: int) -> None:
        """Set the tree's root; nothing is counted before."""
        self._root = pid

    def ended(self, pid: int, cpu_s: float) -> None:
        """Record the ended root's CPU seconds, including the children it waited for."""
        self._end = pid, cpu_s

    def pids(self) -> set[int]:
        """The tree's processes at the last call of :meth:`busy_s`."""
        return set(self._members)

    def busy_s(self) -> float:
        """CPU seconds so far."""
        self._admit_root()
        self._refresh()
        self._settle_root()
        if self._members and self._clock() >= self._next_look_s:
            self._look_for_new()
        live_s = sum(member.total_s for member in self._members.values())
        self._reported_s = max(self._reported_s, live_s + self._retired_s)
        return self._reported_s

    def _admit_root(self) -> None:
        root, self._root = self._root, None
        self._root_pid = self._root_pid if root is None else root
        if root is not None and (stat := self._read(root)) is not None:
            self._members[root] = stat
            self._root_start_ticks = stat.start_ticks - self._early_ticks

    def _settle_root(self) -> None:
        """Add the root's CPU time since its last reading, or all of it if it was never read."""
        if self._end is not None and self._end[0] not in self._members:
            (_, cpu_s), self._end = self._end, None
            self._retired_s += max(cpu_s - self._with_root_s, 0.0)

    def _read(self, pid: int) -> ProcessStat | None:
        try:
            with open(f"{self._proc}/{pid}/stat", "rb") as file:
                stat = parse_stat(file.read())
        except (OSError, IndexError):  # it ended, possibly during the read
            return None
        exact_s = self._cpu_s(pid)
        return stat if exact_s is None else replace(stat, busy_s=exact_s)

    def _refresh(self) -> None:
        before = self._members
        now: dict[int, ProcessStat] = {}
        for pid, earlier in before.items():
            stat = self._read(pid)
            if stat is not None and stat.start_ticks == earlier.start_ticks:
                now[pid] = stat
        ended = [member for pid, member in before.items() if pid not in now]
        self._members = now
        if ended:
            self._retire(ended, before)

    def _retire(self, ended: list[ProcessStat], before: dict[int, ProcessStat]) -> None:
        """Keep the CPU time of ended processes, unless an ancestor's total now includes it."""
        due_s: dict[int, float] = {}
        for member in ended:
            line = [member.pid]
            while line[-1] in before and line[-1] not in self._members:
                line.append(before[line[-1]].parent)
            heir = line[-1]
            if heir in self._members:
                due_s[heir] = due_s.get(heir, 0.0) + member.total_s
            else:
                self._retired_s += member.total_s
                self._with_root_s += member.total_s if self._root_pid in line else 0.0
        for heir, expected_s in due_s.items():
            # Read again: the ancestor's total was updated before the ended process vanished.
            stat = self._read(heir) or self._members[heir]
            self._members[heir] = stat
            missing_s = expected_s - (stat.waited_s - before[heir].waited_s)
            self._retired_s += missing_s if missing_s > ROUNDING_S else 0.0

    def _look_for_new(self) -> None:
        began_s = self._clock()
        is_first = began_s - self._foreign_since_s > FOREIGN_AGAIN_S
        if is_first:
            self._foreign.clear()
            self._foreign_since_s = began_s
        strangers = self._strangers()
        while ours := [stat for stat in strangers.values() if self._is_ours(stat)]:
            for stat in ours:
                self._members[stat.pid] = strangers.pop(stat.pid)
        self._foreign |= strangers.keys()
        members = self._members.values()
        begun = {stat.group for stat in members} | {stat.session for stat in members}
        self._leaders = begun & (self._leaders | self._members.keys())
        ended_s = self._clock()
        # Only the first scan covers every process; its duration says nothing about later ones.
        pause_s = 0.0 if is_first else (ended_s - began_s) / LOOK_COST_RATIO
        self._next_look_s = ended_s + min(pause_s, LOOK_PERIOD_S)

    def _strangers(self) -> dict[int, ProcessStat]:
        """Processes not checked before that may belong to the tree."""
        alive = {int(name) for name in os.listdir(self._proc) if name.isdigit()}
        self._foreign &= alive
        new_processes: dict[int, ProcessStat] = {}
        for pid in alive - self._foreign - self._members.keys() - {os.getpid()}:
            stat = self._read(pid)
            if stat is not None and stat.start_ticks >= self._root_start_ticks:
                new_processes[pid] = stat
            else:
                self._foreign.add(pid)
        # A pid is not reused while its group lives: the old group has ended entirely.
        self._leaders -= new_processes.keys()
        return new_processes

    def _is_ours(self, stat: ProcessStat) -> bool:
        if stat.parent in self._members or self._is_marked(stat.pid):
            return True
        started = self._leaders | self._members.keys()
        return stat.group in started or stat.session in started

    def _is_marked(self, pid: int) -> bool:
        if not self._marks:
            return False
        try:
            with open(f"{self._proc}/{pid}/environ", "rb") as file:
                return self._marks <= frozenset(file.read().split(b"\0"))
        except OSError:  # belongs to another user, or ended
            return False


class HostActivity:
    """CPU time of a job and of the whole machine, for shared host components.

    Args:
        tree: The job's processes.
        machine: CPU seconds of the whole machine, None where unknown.
    """

    def __init__(
        self, tree: ProcessTree, machine: Callable[[], float | None] = machine_busy_s
    ) -> None:
        self._tree = tree
        self._machine = machine
        self._asked_s: float | None = None
        self._busy: Busy = (None, None)

    def busy(self, now_s: float) -> Busy:
        """See :class:`Activity`; components that are read together share one query."""
        if now_s != self._asked_s:
            own_s = self._tree.busy_s()
            all_s = self._machine()  # read after the job's, so that it is never smaller
            self._busy = (None, None) if all_s is None else (own_s, all_s)
            self._asked_s = now_s
        return self._busy

    def pids(self, now_s: float) -> set[int]:
        """The job's processes at a reading."""
        self.busy(now_s)
        return self._tree.pids()

    def close(self) -> None:
        """Nothing to close."""
