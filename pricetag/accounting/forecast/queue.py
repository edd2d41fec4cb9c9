"""When waiting jobs will start: the queue played forward on the workers of its pool.

A worker takes the first job in order that fits what it has free, so that a small job can overtake
a large one. The queue is played forward three times: with the expected, the shortest and the
longest durations. A job without an expected duration never ends in the first and the last of
these, and takes no time in the second.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pricetag.accounting.forecast.projection import Range

Duration = Callable[[Range | None], float]


@dataclass(frozen=True, slots=True)
class Place:
    """A worker.

    Attributes:
        gpus: Its accelerators.
        cpu_slots: Number of jobs without accelerators that it runs at the same time.
        allows_commands: Whether it runs programs.
    """

    gpus: int
    cpu_slots: int
    allows_commands: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """A running job.

    Attributes:
        place: Number of its worker.
        gpus: Accelerators that it holds; 0 for a CPU slot.
        left_s: Time until its end, in s; None if unknown.
    """

    place: int
    gpus: int
    left_s: Range | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A waiting job.

    Attributes:
        gpus: Accelerators that it needs on one worker; 0 for a CPU slot.
        runs_program: Whether it runs programs.
        ready_s: Time from now before which it must not start, in s.
        duration_s: Its expected duration, in s; None if unknown.
    """

    gpus: int
    runs_program: bool = False
    ready_s: float = 0.0
    duration_s: Range | None = None


def expected_starts(
    places: Sequence[Place], running_jobs: Sequence[Held], waiting: Sequence[Waiting]
) -> list[Range | None]:
    """Time until each waiting job starts, in s, with its range; None if unknown.

    Args:
        places: The live workers of the pool.
        running_jobs: The running jobs.
        waiting: The waiting jobs, in the order of the queue.

    Returns:
        A range for each waiting job, in the given order. ``high`` is infinite, and the value
        unknown, where a start depends on a job without an expected end: then None.
    """
    passes = [
        _starts(places, running_jobs, waiting, duration_of)
        for duration_of in (_expected, _least, _most)
    ]
    ranges: list[Range | None] = []
    for expected_s, early_s, late_s in zip(*passes, strict=True):
        times_s = (expected_s, early_s, late_s)
        # With longer durations a job can start earlier: others may be ahead of it elsewhere.
        are_known = all(math.isfinite(time_s) for time_s in times_s)
        ranges.append(Range(expected_s, min(times_s), max(times_s)) if are_known else None)
    return ranges


def _expected(duration_s: Range | None) -> float:
    return math.inf if duration_s is None else max(duration_s.value, 0.0)


def _least(duration_s: Range | None) -> float:
    return 0.0 if duration_s is None else max(duration_s.low, 0.0)


def _most(duration_s: Range | None) -> float:
    return math.inf if duration_s is None else max(duration_s.high, 0.0)


class _Free:
    """What the workers have free."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._gpus = [place.gpus for place in places]
        self._slots = [place.cpu_slots for place in places]

    def take(self, number: int, gpus: int) -> None:
        if gpus:
            self._gpus[number] -= gpus
        else:
            self._slots[number] -= 1

    def give_back(self, number: int, gpus: int) -> None:
        if gpus:
            self._gpus[number] += gpus
        else:
            self._slots[number] += 1

    def fits(self, number: int, job: Waiting) -> bool:
        if job.runs_program and not self._places[number].allows_commands:
            return False
        return self._gpus[number] >= job.gpus if job.gpus else self._slots[number] > 0


def _starts(
    places: Sequence[Place],
    running_jobs: Sequence[Held],
    waiting: Sequence[Waiting],
    duration_of: Duration,
) -> list[float]:
    """The time at which each waiting job starts; infinite if it never does."""
    free = _Free(places)
    ends: list[tuple[float, int, int]] = []
    for running in running_jobs:
        free.take(running.place, running.gpus)
        ends.append((duration_of(running.left_s), running.place, running.gpus))
    heapq.heapify(ends)
    starts = [math.inf] * len(waiting)
    still = list(range(len(waiting)))
    changed = set(range(len(places)))
    now_s = 0.0
    while still:
        for place in sorted(changed):
            for number in list(still):
                job = waiting[number]
                if job.ready_s <= now_s and free.fits(place, job):
                    starts[number] = now_s
                    still.remove(number)
                    free.take(place, job.gpus)
                    heapq.heappush(ends, (now_s + duration_of(job.duration_s), place, job.gpus))
        due_s = [waiting[number].ready_s for number in still if waiting[number].ready_s > now_s]
        next_ready_s = min(due_s, default=math.inf)
        next_s = min(next_ready_s, ends[0][0] if ends else math.inf)
        if not math.isfinite(next_s):
            break
        changed = set(range(len(places))) if next_ready_s <= next_s else set()
        now_s = max(now_s, next_s)
        while ends and ends[0][0] <= now_s:
            _, place, gpus = heapq.heappop(ends)
            free.give_back(place, gpus)
            changed.add(place)
    return starts
