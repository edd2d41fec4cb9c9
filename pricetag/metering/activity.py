"""How busy a job keeps what it shares: CPU seconds of its processes, and of the machine.

Both figures are cumulative, so that a job's part of any stretch of time is a quotient of two
differences. Neither ever falls.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

PROC = Path("/proc")

TICKS_PER_S = os.sysconf("SC_CLK_TCK")

CPUCLOCK_SCHED = 2
"""The kind of clock that ``clock_getcpuclockid`` makes a process's id of."""

LOOK_COST_RATIO = 0.001
"""At most this part of a core goes into looking for new processes."""

LOOK_PERIOD_S = 5.0
"""However long a look takes, the next one is no further away."""

FOREIGN_AGAIN_S = 60.0
"""After so long every process is looked at anew: by then a pid may be another process's."""

ROUNDING_S = 2 / TICKS_PER_S
"""A parent's account of its children is told in ticks, user and system time each."""

Busy = tuple[float | None, float | None]
"""Own and everybody's activity, cumulative, in s; None where it cannot be told."""


class Activity(Protocol):
    """What tells a job's part of a component."""

    def busy(self, now_s: float) -> Busy:
        """The activity so far; asked at every reading, in the meter's thread."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """One process as ``/proc/<pid>/stat`` tells it.

    Attributes:
        start_ticks: When it was started: with the pid it names the process for good.
        busy_s: Its own CPU time, ended threads included.
        waited_s: That of its children that ended and were waited for.
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
        """All that this process answers for."""
        return self.busy_s + self.waited_s


def parse_stat(text: bytes) -> ProcessStat:
    """One line of ``/proc/<pid>/stat``; the name in it may hold blanks and brackets."""
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
    """CPU seconds of a live process by its own clock: not in ticks, so that short jobs count.

    Returns:
        None where there is no such clock; ``/proc`` tells then.
    """
    try:
        return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return None


def machine_busy_s(proc: Path = PROC) -> float | None:
    """CPU seconds in which any core of the machine was busy since it started.

    Idle time, waiting for disks and what a hypervisor gave to others are no activity of this
    machine; guests count as user time already.

    Returns:
        None where the system does not tell, as in some sandboxes.
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
    """CPU time of a process and of everything that it started, ended or not.

    A process belongs to the tree if its parent does, if its group or session was begun by one
    that does (a daemon keeps those when its parent ends), or if its environment says so.

    What a process had used when it ended is in its parent's account if that waited for it;
    where nobody of the tree did, what it said last is kept here.

    Args:
        mark: ``NAME=value`` in the environment of the tree's processes and of no others.
        proc: Where the kernel tells of processes.
        cpu_s: CPU seconds of a live process; None where ``/proc`` alone tells them.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        mark: bytes | None = None,
        *,
        proc: Path = PROC,
        cpu_s: Callable[[int], float | None] = process_cpu_s,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mark = mark
        self._proc = proc
        self._cpu_s = cpu_s
        self._clock = clock
        self._root_start_ticks = 0
        self._root: int | None = None
        self._root_pid: int | None = None
        self._end: tuple[int, float] | None = None
        self._with_root_s = 0.0  # what was kept of the root, and of those that ended with it
        self._members: dict[int, ProcessStat] = {}
        self._leaders: set[int] = set()
        self._foreign: set[int] = set()
        self._foreign_since_s = 0.0
        self._next_look_s = 0.0
        self._retired_s = 0.0
        self._told_s = 0.0

    def adopt(self, pid: int) -> None:
        """The tree's root; before, there is nothing to count."""
        self._root = pid

    def ended(self, pid: int, cpu_s: float) -> None:
        """The root was waited for: its CPU seconds, with those of all that it had waited for."""
        self._end = pid, cpu_s

    def pids(self) -> set[int]:
        """The processes of the tree as they were when :meth:`busy_s` was asked last."""
        return set(self._members)

    def busy_s(self) -> float:
        """CPU seconds so far."""
        self._admit_root()
        self._refresh()
        self._settle_root()
        if self._members and self._clock() >= self._next_look_s:
            self._look_for_new()
        live_s = sum(member.total_s for member in self._members.values())
        self._told_s = max(self._told_s, live_s + self._retired_s)
        return self._told_s

    def _admit_root(self) -> None:
        root, self._root = self._root, None
        self._root_pid = self._root_pid if root is None else root
        if root is not None and (stat := self._read(root)) is not None:
            self._members[root] = stat
            self._root_start_ticks = stat.start_ticks

    def _settle_root(self) -> None:
        """Add what the root had used after it was read last, or without ever being read."""
        if self._end is not None and self._end[0] not in self._members:
            (_, cpu_s), self._end = self._end, None
            self._retired_s += max(cpu_s - self._with_root_s, 0.0)

    def _read(self, pid: int) -> ProcessStat | None:
        try:
            with open(f"{self._proc}/{pid}/stat", "rb") as file:
                stat = parse_stat(file.read())
        except (OSError, IndexError):  # it ended, maybe while it was being read
            return None
        exact_s = self._cpu_s(pid)
        return stat if exact_s is None else replace(stat, busy_s=exact_s)

    def _refresh(self) -> None:
        before = self._members
        now: dict[int, ProcessStat] = {}
        for pid, known in before.items():
            stat = self._read(pid)
            if stat is not None and stat.start_ticks == known.start_ticks:
                now[pid] = stat
        ended = [member for pid, member in before.items() if pid not in now]
        self._members = now
        if ended:
            self._retire(ended, before)

    def _retire(self, ended: list[ProcessStat], before: dict[int, ProcessStat]) -> None:
        """Keep what ended processes had used, unless an ancestor now answers for it."""
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
            # Read anew: its account was settled before the ended one vanished.
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
        # Only the first look, at everything, takes long: the next is no measure for it.
        pause_s = 0.0 if is_first else (ended_s - began_s) / LOOK_COST_RATIO
        self._next_look_s = ended_s + min(pause_s, LOOK_PERIOD_S)

    def _strangers(self) -> dict[int, ProcessStat]:
        """The processes that were not looked at before and may belong here."""
        alive = {int(name) for name in os.listdir(self._proc) if name.isdigit()}
        self._foreign &= alive
        found: dict[int, ProcessStat] = {}
        for pid in alive - self._foreign - self._members.keys():
            stat = self._read(pid)
            if stat is not None and stat.start_ticks >= self._root_start_ticks:
                found[pid] = stat
            else:
                self._foreign.add(pid)
        # A pid is not given again while its group lives: that one has ended altogether.
        self._leaders -= found.keys()
        return found

    def _is_ours(self, stat: ProcessStat) -> bool:
        if stat.parent in self._members or self._is_marked(stat.pid):
            return True
        started = self._leaders | self._members.keys()
        return stat.group in started or stat.session in started

    def _is_marked(self, pid: int) -> bool:
        if self._mark is None:
            return False
        try:
            with open(f"{self._proc}/{pid}/environ", "rb") as file:
                return self._mark in file.read().split(b"\0")
        except OSError:  # another user's, or ended
            return False


class HostActivity:
    """A job's CPU time beside the machine's, for everything that hosts share.

    Args:
        tree: The job's processes.
        machine: CPU seconds of the whole machine, None where it cannot be told.
    """

    def __init__(
        self, tree: ProcessTree, machine: Callable[[], float | None] = machine_busy_s
    ) -> None:
        self._tree = tree
        self._machine = machine
        self._asked_s: float | None = None
        self._busy: Busy = (None, None)

    def busy(self, now_s: float) -> Busy:
        """See :class:`Activity`; components that are read together share one look."""
        if now_s != self._asked_s:
            own_s = self._tree.busy_s()
            all_s = self._machine()  # after the job's, which it shall not be less than
            self._busy = (None, None) if all_s is None else (own_s, all_s)
            self._asked_s = now_s
        return self._busy

    def pids(self, now_s: float) -> set[int]:
        """The job's processes at a reading."""
        self.busy(now_s)
        return self._tree.pids()

    def close(self) -> None:
        """Nothing stays open."""
