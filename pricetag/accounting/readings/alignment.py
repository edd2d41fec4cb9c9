"""Where between two updates of its counter an edge fell.

An energy counter that is updated every ``u`` seconds shows at any moment what had been used up
to its last update. After an edge the meter watches for the next two updates and leaves a reading
flagged ``tick`` at each. The energy ``D`` between the edge's last and next update is then known.
The part before the edge follows from the counter alone: with the mean powers ``p0``
before and ``p1`` after these two updates, ``D = p0 s + p1 (u - s)`` says when, at ``s``, one step
of power would have come, and the powers on either side of it are taken to be ``p0`` and ``p1``.
Where no step explains ``D`` (it is not between ``p0 u`` and ``p1 u``), time decides in
proportion. Power sensors are not used: those that see 25 of every 100 ms (A100, H100)
misplace bursts by more than a whole update.

The pass moves energy between adjoining windows and changes no sum of them; at a trace's first
and last reading it takes away, or adds, the part of an update that was not theirs, or was.

Source: the counter's updates and the sensors' windows, Yang et al. 2024, SC24,
arXiv:2312.02741; a step within a cell found from the cell's neighbors is Harten's subcell
resolution, 1989, doi:10.1016/0021-9991(89)90226-X.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from pricetag.accounting.readings.reading import Reading

TICK = "tick"
"""Flag of a reading taken at the moment at which the counter was updated."""

LATE_TICK = "late_tick"
"""Flag of a reading taken some time after the counter was updated: that it was is all it says."""

EDGE_ALIGNED = "edge_aligned"
"""Flag of a reading whose counter was brought from its last update to the reading's own time."""

MAX_TICKS = 3
"""An update further away than this many update periods says nothing of an edge."""

TOLERANCE_RATIO = 0.5
"""How far, in periods, an update may be from where the period puts it."""

NEIGHBOUR_S = 2.0
"""The power before an edge's update is a mean over this long at most."""


def align(readings: Sequence[Reading]) -> list[Reading]:
    """Bring the counters of readings that a ``tick`` follows up to the readings' own time.

    Args:
        readings: Of one component, in the order in which they were taken.

    Returns:
        The readings without those of ticks (except a last one, which ends the trace), counters
        aligned and flagged ``edge_aligned`` where that could be done. Counters that did not
        decrease before do not decrease afterwards.
    """
    update_s = update_period_s(readings)
    if update_s is None:
        return _without_ticks(readings)
    lower = _last_lower(readings)
    aligned = list(readings)
    ahead = _Ahead(update_s)
    ceiling_j = math.inf
    for index in range(len(readings) - 1, -1, -1):
        reading = readings[index]
        ahead.pass_by(reading)
        if reading.counter_j is None or _is_tick(reading):
            continue
        if reading.counter_j > ceiling_j:
            ceiling_j = math.inf  # a reset lies between
        before = lower[index]
        since_s = readings[0 if before is None else before + 1].t_s
        counter_j = ahead.counter_at(
            reading.t_s, since_s, None if before is None else readings[before]
        )
        if counter_j is not None:
            ceiling_j = min(ceiling_j, counter_j)
            flags = (*reading.flags, EDGE_ALIGNED)
            aligned[index] = replace(reading, counter_j=ceiling_j, flags=flags)
    return _without_ticks(aligned)


@dataclass(slots=True)
class _Ahead:
    """The next tick, on the way back through the readings, and the counter's steps up to it.

    Attributes:
        tick_s: When it came; None while there is none.
        after_w: Mean power from it to the tick after it, None where that was not seen.
        counter_j: The counter at the reading passed last.
        above_j: The next higher counter ahead of that.
        steps: How often the counter rises from there up to the tick.
    """

    update_s: float
    tick_s: float | None = None
    after_w: float | None = None
    counter_j: float = math.inf
    above_j: float = math.inf
    steps: int = 0

    def pass_by(self, reading: Reading) -> None:
        """Go back past a reading; a counter that cannot be read, or falls, breaks the way."""
        if reading.counter_j is None or reading.counter_j > self.counter_j:
            self.tick_s, self.counter_j = None, math.inf
        if reading.counter_j is None:
            return
        if TICK in reading.flags:
            self.after_w = self._power_from(reading.t_s, reading.counter_j)
            self.tick_s, self.steps = reading.t_s, 0
        elif reading.counter_j < self.counter_j:
            self.steps += 1
            self.above_j = self.counter_j
        self.counter_j = reading.counter_j

    def _power_from(self, tick_s: float, counter_j: float) -> float | None:
        if self.tick_s is None:
            return None
        elapsed_s = self.tick_s - tick_s
        # Readings between the two showed what this one does: one step, seen early.
        is_next = self.steps == 0 or (self.steps == 1 and self.counter_j == counter_j)
        if not is_next or not 0 < elapsed_s <= (1.0 + TOLERANCE_RATIO) * self.update_s:
            return None
        next_j = self.above_j if self.steps else self.counter_j
        return (next_j - counter_j) / elapsed_s

    def counter_at(self, t_s: float, since_s: float, before: Reading | None) -> float | None:
        """The counter at the time of the reading passed last, in J; None if no tick shows it.

        Args:
            t_s: The reading's time.
            since_s: When its counter was first read.
            before: The last reading with a lower counter.
        """
        if self.tick_s is None or not 0 < self.steps <= MAX_TICKS:
            return None
        last_update_s = self.tick_s - self.steps * self.update_s
        age_s = t_s - last_update_s
        slack_s = TOLERANCE_RATIO * self.update_s
        if not -slack_s <= age_s <= self.update_s + slack_s:
            return None
        if since_s < last_update_s - slack_s:
            return None  # it has stood still for longer than its period: that is not a tick
        before_w = self._power_before(last_update_s, before)
        after_w = self.after_w if self.steps == 1 else None
        part_j = _part_j(
            self.above_j - self.counter_j,
            self.update_s,
            min(max(age_s, 0.0), self.update_s),
            before_w,
            after_w,
        )
        return self.counter_j + part_j

    def _power_before(self, last_update_s: float, before: Reading | None) -> float | None:
        if before is None or before.counter_j is None or self.tick_s is None:
            return None
        updated_s = before.t_s
        if TICK not in before.flags:  # what it showed was as old as the period's beat says
            beats = math.ceil((self.tick_s - before.t_s) / self.update_s)
            updated_s = self.tick_s - beats * self.update_s
        elapsed_s = last_update_s - updated_s
        if not TOLERANCE_RATIO * self.update_s <= elapsed_s <= NEIGHBOUR_S:
            return None
        return (self.counter_j - before.counter_j) / elapsed_s


def _part_j(
    tick_j: float, update_s: float, age_s: float, before_w: float | None, after_w: float | None
) -> float:
    """How much of a tick's energy was used in the first ``age_s`` of its period, in J."""
    linear_j = tick_j * age_s / update_s
    if before_w is None or after_w is None:
        return linear_j
    mean_w = tick_j / update_s
    if (before_w - mean_w) * (mean_w - after_w) <= 0:
        return linear_j
    step_s = (tick_j - after_w * update_s) / (before_w - after_w)
    return before_w * min(age_s, step_s) + after_w * max(age_s - step_s, 0.0)


def _is_tick(reading: Reading) -> bool:
    return TICK in reading.flags or LATE_TICK in reading.flags


def update_period_s(readings: Sequence[Reading]) -> float | None:
    """How often the counter is updated, in s: the median of consecutive updates that were seen.

    None where no two consecutive ones were.
    """
    spacings_s: list[float] = []
    last: Reading | None = None
    for reading in readings:
        if TICK in reading.flags:
            if last is not None and _increased(last, reading):
                spacings_s.append(reading.t_s - last.t_s)
            last = reading
        elif last is not None and reading.counter_j != last.counter_j:
            last = None  # an update that was not seen as it came
    return median(spacings_s) if spacings_s else None


def _increased(before: Reading, after: Reading) -> bool:
    if before.counter_j is None or after.counter_j is None or after.t_s <= before.t_s:
        return False
    return after.counter_j > before.counter_j


def _last_lower(readings: Sequence[Reading]) -> list[int | None]:
    """For each reading the last before it that showed another counter, if there is one."""
    lower_indices: list[int | None] = []
    for index, reading in enumerate(readings):
        is_same = index > 0 and readings[index - 1].counter_j == reading.counter_j
        lower_indices.append(lower_indices[-1] if is_same else (index - 1 if index else None))
    return lower_indices


def _without_ticks(readings: Sequence[Reading]) -> list[Reading]:
    kept = [reading for reading in readings[:-1] if not _is_tick(reading)]
    if readings:
        last = readings[-1]
        flags = tuple(name for name in last.flags if name not in (TICK, LATE_TICK))
        kept.append(replace(last, flags=flags) if flags != last.flags else last)
    return kept
