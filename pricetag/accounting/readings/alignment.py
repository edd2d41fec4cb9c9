"""Aligns counters with edges that fall between two of their updates.

An energy counter with an update period of ``u`` seconds always shows the energy used up to its
last update. After an edge the meter waits for the next two updates and emits a reading flagged
``tick`` at each. The energy ``D`` between the last update before the edge and the next one is then
known. The part before the edge follows from the counter alone: with the mean powers ``p0``
before and ``p1`` after these two updates, ``D = p0 s + p1 (u - s)`` gives the time ``s`` of a
single step in power, with the powers ``p0`` before and ``p1`` after the step. If no step explains
``D`` (it is not between ``p0 u`` and ``p1 u``), ``D`` is divided in proportion to time. Power
sensors are not used: those that see 25 of every 100 ms (A100, H100) misplace bursts by more than
a whole update.

This moves energy between adjoining windows without changing their sum; at the first and last
reading of a trace it subtracts or adds the part of an update before or after the trace.

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
"""Flag of a reading taken at the time of an update of the counter."""

LATE_TICK = "late_tick"
"""Flag of a reading taken some time after an update of the counter, at an unknown time."""

EDGE_ALIGNED = "edge_aligned"
"""Flag of a reading whose counter was moved from its last update to the reading's time."""

MAX_TICKS = 3
"""Maximum distance of an update from an edge, in update periods."""

TOLERANCE_RATIO = 0.5
"""Maximum deviation of an update from its expected time, in update periods."""

NEIGHBOUR_S = 2.0
"""Maximum duration of the mean for the power before an edge's update, in s."""


def align(readings: Sequence[Reading]) -> list[Reading]:
    """Align the counters of readings that precede a ``tick`` with the readings' times.

    Args:
        readings: Readings of one component, in order of time.

    Returns:
        The readings without those of ticks (except a last one, which ends the trace). Aligned
        readings are flagged ``edge_aligned``. Counters that did not decrease before do not
        decrease afterwards.
    """
    update_s = update_period_s(readings)
    if update_s is None:
        return _without_ticks(readings)
    aligned = list(readings)
    for index, counter_j in aligned_counters(readings, update_s)[0].items():
        flags = (*readings[index].flags, EDGE_ALIGNED)
        aligned[index] = replace(readings[index], counter_j=counter_j, flags=flags)
    return _without_ticks(aligned)


def aligned_counters(
    readings: Sequence[Reading], update_s: float, ceiling_j: float = math.inf
) -> tuple[dict[int, float], float]:
    """The counters that are aligned, by the index of their reading, in J.

    Args:
        readings: Readings of one component, or a part of them, in order of time.
        update_s: The counter's update period.
        ceiling_j: Lowest aligned counter after these readings.

    Returns:
        The counters; and the lowest aligned one for the readings before these.
    """
    lower = _last_lower(readings)
    aligned: dict[int, float] = {}
    ahead = _Ahead(update_s)
    for index in range(len(readings) - 1, -1, -1):
        reading = readings[index]
        ahead.pass_by(reading)
        if reading.counter_j is None or _is_tick(reading):
            continue
        if reading.counter_j > ceiling_j:
            ceiling_j = math.inf  # there is a reset in between
        before = lower[index]
        since_s = readings[0 if before is None else before + 1].t_s
        counter_j = ahead.counter_at(
            reading.t_s, since_s, None if before is None else readings[before]
        )
        if counter_j is not None:
            aligned[index] = ceiling_j = min(ceiling_j, counter_j)
    return aligned, ceiling_j


@dataclass(slots=True)
class _Ahead:
    """The next tick, during a backward pass over the readings, and the counter's steps up to it.

    Attributes:
        tick_s: Time of the tick; None if there is none.
        after_w: Mean power from the tick to the following one; None if that was not observed.
        counter_j: Counter of the last visited reading.
        above_j: The next higher counter after that.
        steps: Number of increases of the counter from there to the tick.
    """

    update_s: float
    tick_s: float | None = None
    after_w: float | None = None
    counter_j: float = math.inf
    above_j: float = math.inf
    steps: int = 0

    def pass_by(self, reading: Reading) -> None:
        """Visit a reading; a counter that is unreadable or decreases ends the sequence."""
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
        # Readings in between showed the same counter: it is one step, observed early.
        is_next = self.steps == 0 or (self.steps == 1 and self.counter_j == counter_j)
        if not is_next or not 0 < elapsed_s <= (1.0 + TOLERANCE_RATIO) * self.update_s:
            return None
        next_j = self.above_j if self.steps else self.counter_j
        return (next_j - counter_j) / elapsed_s

    def counter_at(self, t_s: float, since_s: float, before: Reading | None) -> float | None:
        """The counter at the time of the last visited reading, in J; None if no tick shows it.

        Args:
            t_s: Time of the reading.
            since_s: Time at which its counter was first read.
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
            return None  # unchanged for longer than its period: that is not a tick
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
        if TICK not in before.flags:  # the age of its counter follows from the period
            beats = math.ceil((self.tick_s - before.t_s) / self.update_s)
            updated_s = self.tick_s - beats * self.update_s
        elapsed_s = last_update_s - updated_s
        if not TOLERANCE_RATIO * self.update_s <= elapsed_s <= NEIGHBOUR_S:
            return None
        return (self.counter_j - before.counter_j) / elapsed_s


def _part_j(
    tick_j: float, update_s: float, age_s: float, before_w: float | None, after_w: float | None
) -> float:
    """Energy of a tick that was used in the first ``age_s`` of its period, in J."""
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
    """The counter's update period in s: the median over consecutive observed updates.

    None if no two consecutive updates were observed.
    """
    spacings_s: list[float] = []
    last: Reading | None = None
    for reading in readings:
        if TICK in reading.flags:
            if last is not None and _increased(last, reading):
                spacings_s.append(reading.t_s - last.t_s)
            last = reading
        elif last is not None and reading.counter_j != last.counter_j:
            last = None  # an update at an unknown time
    return median(spacings_s) if spacings_s else None


def _increased(before: Reading, after: Reading) -> bool:
    if before.counter_j is None or after.counter_j is None or after.t_s <= before.t_s:
        return False
    return after.counter_j > before.counter_j


def _last_lower(readings: Sequence[Reading]) -> list[int | None]:
    """For each reading, the index of the last earlier reading with another counter, or None."""
    lower_indices: list[int | None] = []
    for index, reading in enumerate(readings):
        is_same = index > 0 and readings[index - 1].counter_j == reading.counter_j
        lower_indices.append(lower_indices[-1] if is_same else (index - 1 if index else None))
    return lower_indices


def _without_ticks(readings: Sequence[Reading]) -> list[Reading]:
    regular = [reading for reading in readings[:-1] if not _is_tick(reading)]
    if readings:
        last = readings[-1]
        flags = tuple(name for name in last.flags if name not in (TICK, LATE_TICK))
        regular.append(replace(last, flags=flags) if flags != last.flags else last)
    return regular
