"""Where between two updates of its counter an edge fell.

An energy counter that is updated every ``u`` seconds tells at any moment what had been used up
to its last update. After an edge the meter watches for the next update and leaves a reading
flagged ``tick`` at that moment; the energy between the two updates is then known, and its part
before the edge is taken in proportion to time. Only the counter is used: power sensors that see
a quarter of the time (25 of 100 ms on A100 and H100) misplace bursts by more than a whole update.

The pass moves energy between adjoining windows and changes no sum of them; at a trace's first
and last reading it takes away, or adds, the part of an update that was not theirs, or was.

Source: the counter's updates and the sensors' windows, Yang et al. 2024, SC24,
arXiv:2312.02741; linear interpolation within an update is the project's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from pricetag.accounting.reading import Reading

TICK = "tick"
"""Flag of a reading taken at the moment at which the counter was updated."""

EDGE_ALIGNED = "edge_aligned"
"""Flag of a reading whose counter was brought from its last update to the reading's own time."""

MAX_TICKS = 3
"""An update further away than this many update periods says nothing of an edge."""

STANDSTILL_TOLERANCE_RATIO = 0.5
"""A counter that has stood still for this much of a period too long does not tick."""


def align(readings: Sequence[Reading]) -> list[Reading]:
    """Bring the counters of readings that a ``tick`` follows up to the readings' own time.

    Args:
        readings: Of one component, in the order in which they were taken.

    Returns:
        The readings without those flagged ``tick`` (except a last one, which ends the trace),
        counters aligned and flagged ``edge_aligned`` where that could be done. Counters that
        did not decrease before do not decrease afterwards.
    """
    update_s = update_period_s(readings)
    if update_s is None:
        return _without_ticks(readings)
    since_s = _unchanged_since_s(readings)
    aligned = list(readings)
    tick: Reading | None = None
    ceiling_j = math.inf
    for index in range(len(readings) - 1, -1, -1):
        reading = readings[index]
        if reading.counter_j is None:
            tick = None
            continue
        if tick is not None and (tick.counter_j or 0.0) < reading.counter_j:
            tick = None  # a reset lies between
        if tick is None or reading.counter_j > ceiling_j:
            ceiling_j = math.inf
        if TICK in reading.flags:
            tick = reading
        elif tick is not None:
            counter_j = _counter_at(reading, tick, since_s[index], update_s)
            if counter_j is not None:
                ceiling_j = min(ceiling_j, counter_j)
                flags = (*reading.flags, EDGE_ALIGNED)
                aligned[index] = replace(reading, counter_j=ceiling_j, flags=flags)
    return _without_ticks(aligned)


def update_period_s(readings: Sequence[Reading]) -> float | None:
    """How often the counter is updated, in s: the median of consecutive updates that were seen.

    None where no two consecutive ones were.
    """
    spacings_s = [
        after.t_s - before.t_s
        for before, after in pairwise(readings)
        if TICK in before.flags and TICK in after.flags and _increased(before, after)
    ]
    return median(spacings_s) if spacings_s else None


def _increased(before: Reading, after: Reading) -> bool:
    if before.counter_j is None or after.counter_j is None or after.t_s <= before.t_s:
        return False
    return after.counter_j > before.counter_j


def _unchanged_since_s(readings: Sequence[Reading]) -> list[float]:
    """For each reading the time of the first that showed the same counter without a break."""
    since_s: list[float] = []
    for index, reading in enumerate(readings):
        is_same = index > 0 and readings[index - 1].counter_j == reading.counter_j
        since_s.append(since_s[-1] if is_same else reading.t_s)
    return since_s


def _counter_at(reading: Reading, tick: Reading, since_s: float, update_s: float) -> float | None:
    """The counter at the reading's time, in J; None where the tick does not tell it."""
    assert reading.counter_j is not None  # the caller has asked
    assert tick.counter_j is not None
    ticks = max(math.ceil((tick.t_s - reading.t_s) / update_s), 1)
    if tick.t_s < reading.t_s or ticks > MAX_TICKS:
        return None
    last_update_s = tick.t_s - ticks * update_s
    if since_s < last_update_s - STANDSTILL_TOLERANCE_RATIO * update_s:
        return None
    share = (reading.t_s - last_update_s) / (ticks * update_s)
    return reading.counter_j + share * (tick.counter_j - reading.counter_j)


def _without_ticks(readings: Sequence[Reading]) -> list[Reading]:
    kept = [reading for reading in readings[:-1] if TICK not in reading.flags]
    if readings:
        last = readings[-1]
        flags = tuple(name for name in last.flags if name != TICK)
        kept.append(last if flags == last.flags else replace(last, flags=flags))
    return kept
