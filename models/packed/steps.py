"""The energy of the steps between consecutive readings, for charts.

The energy of a step is that of the counter, or of the integral if the counter is missing, was
reset, jumped or does not advance. A stand is a sequence of readings with one counter value; energy
that its counter catches up is not counted twice. A step is judged by the readings of its own
stand, so that readings may be cut where the next stand begins, and judged in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.packed.columns import Columns, Floats, Mask
from pricetag.accounting.readings.step_energy import (
    COUNTER_RESET,
    FROZEN_ABOVE_W,
    FROZEN_AFTER_S,
    IMPLAUSIBLE_POWER,
    RESET,
)

UNTRUSTED = (RESET, COUNTER_RESET, IMPLAUSIBLE_POWER)
HOST_COUNTER = "rapl:"

WIDEST_STEPS = 4096
"""Steps of a block, and of the widest segment."""

LONGEST_STEPS = 16 * WIDEST_STEPS
"""Maximum number of steps of a block whose counter does not advance."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Consecutive steps, or groups of them, one value each; NaN where unknown.

    Attributes:
        steps: Number of steps.
        t_s: Start, in s on the meter's clock.
        duration_s: Sum of the steps' durations.
        energy_j: Energy of the steps whose energy is known.
        covered_s: Duration of these steps.
        min_w: Lowest power read.
        max_w: Highest power read.
    """

    steps: Floats
    t_s: Floats
    duration_s: Floats
    energy_j: Floats
    covered_s: Floats
    min_w: Floats
    max_w: Floats

    def __len__(self) -> int:
        return len(self.steps)

    @classmethod
    def of_matrix(cls, matrix: Floats) -> Segments:
        """From a matrix of shape `[segments, columns]`."""
        return cls(*matrix.T)

    def matrix(self) -> Floats:
        """As a matrix of shape `[segments, columns]`."""
        return np.column_stack([getattr(self, column.name) for column in fields(self)])

    def widened(self, starts: NDArray[np.int64]) -> Segments:
        """Groups of these segments, each from one start to the next.

        Args:
            starts: Place of the first segment of each group, ascending from 0.
        """
        if len(starts) == len(self):
            return self
        has_energy = ~np.isnan(self.energy_j)
        energy_j = np.add.reduceat(np.where(has_energy, self.energy_j, 0.0), starts)
        is_known = np.logical_or.reduceat(has_energy, starts)
        return Segments(
            np.add.reduceat(self.steps, starts),
            np.minimum.reduceat(self.t_s, starts),
            np.add.reduceat(self.duration_s, starts),
            np.where(is_known, energy_j, np.nan),
            np.add.reduceat(self.covered_s, starts),
            np.fmin.reduceat(self.min_w, starts),
            np.fmax.reduceat(self.max_w, starts),
        )

    def every(self, number: int) -> Segments:
        """Groups of a number of segments; the last one may have fewer."""
        return self.widened(np.arange(0, len(self), number))

    def at_most(self, points: int) -> Segments:
        """Up to some equal groups, the first ones with one segment more (like SQL's ntile)."""
        count = len(self)
        if count <= points:
            return self
        size, rest = divmod(count, points)
        sizes = np.full(points, size)
        sizes[:rest] += 1
        return self.widened(np.concatenate([[0], np.cumsum(sizes[:-1])]))


COLUMNS = len(fields(Segments))
START = [column.name for column in fields(Segments)].index("t_s")


def joined(parts: list[Segments]) -> Segments:
    """Parts of a series as one, in order of time."""
    if len(parts) == 1:
        return parts[0]
    matrix = np.concatenate([part.matrix() for part in parts])
    return Segments.of_matrix(matrix[np.argsort(matrix[:, START], kind="stable")])


def steps_of(component: str, columns: Columns) -> Segments:
    """Each step as one segment, in order of time.

    Args:
        component: Id of the component; counters of hosts begin with ``rapl:``.
        columns: Its readings.
    """
    t_s = columns.column("t_s").values
    order = np.argsort(t_s, kind="stable")
    t_s = t_s[order]
    counter_j = columns.column("counter_j").or_nan()[order]
    integrated_j = columns.column("integrated_j").or_nan()[order]
    power_w = columns.column("power_w").or_nan()[order]
    untrusted = columns.flagged(UNTRUSTED)[order]
    frozen, replaced_j = _stands(component, t_s, counter_j, integrated_j)
    energy_j = _energy_j(counter_j, integrated_j, untrusted[1:], frozen, replaced_j)
    duration_s = np.diff(t_s)
    return Segments(
        np.ones(len(duration_s)),
        t_s[:-1],
        duration_s,
        energy_j,
        np.where(np.isnan(energy_j), 0.0, duration_s),
        np.fmin(power_w[:-1], power_w[1:]),
        np.fmax(power_w[:-1], power_w[1:]),
    )


def moves(counter_j: Floats) -> Mask:
    """Which readings have another counter than the one before, or none; the first one has."""
    moved = np.ones(len(counter_j), dtype=bool)
    moved[1:] = counter_j[1:] != counter_j[:-1]  # NaN is a counter that is missing
    return moved


def _stands(
    component: str, t_s: Floats, counter_j: Floats, integrated_j: Floats
) -> tuple[Mask, Floats]:
    """Whether each reading's counter does not advance, and the integral over that time."""
    if not len(t_s):
        return np.zeros(0, dtype=bool), np.zeros(0)
    moved = moves(counter_j)
    starts = np.flatnonzero(moved)
    stand = np.cumsum(moved) - 1
    stood_s = np.maximum.reduceat(t_s, starts) - np.minimum.reduceat(t_s, starts)
    replaced_j = np.fmax.reduceat(integrated_j, starts) - np.fmin.reduceat(integrated_j, starts)
    long = (stood_s >= FROZEN_AFTER_S) & ~np.isnan(counter_j[starts])
    is_host = component.startswith(HOST_COUNTER)
    frozen = long & (is_host | (replaced_j > FROZEN_ABOVE_W * stood_s))  # NaN is not above
    return frozen[stand], replaced_j[stand]


def _energy_j(
    counter_j: Floats, integrated_j: Floats, untrusted: Mask, frozen: Mask, replaced_j: Floats
) -> Floats:
    by_counter_j = np.diff(counter_j)
    by_integral_j = np.diff(integrated_j)
    frozen, replaced_j = frozen[:-1], replaced_j[:-1]
    caught_up = frozen & (by_counter_j >= replaced_j)
    counted_j = by_counter_j - np.where(caught_up, replaced_j, 0.0)
    rising_j = np.where(by_integral_j >= 0, by_integral_j, np.nan)
    energy_j = np.where((by_counter_j >= 0) & ~untrusted, counted_j, rising_j)
    return np.where(frozen & (by_counter_j == 0), by_integral_j, energy_j)


def cut(columns: Columns, *, is_final: bool) -> int | None:
    """Number of the first steps that make the next block.

    A block ends where the counter has moved, so that later readings change none of its steps.

    Args:
        columns: Readings from the end of the block before.
        is_final: Whether no further readings are expected.

    Returns:
        The number of steps; None if there are too few as yet.
    """
    steps = len(columns) - 1
    if steps <= WIDEST_STEPS and is_final:
        return steps
    if steps < WIDEST_STEPS:
        return None
    ends = np.flatnonzero(moves(columns.column("counter_j").or_nan()))
    before = ends[(ends > 0) & (ends <= WIDEST_STEPS)]
    if len(before) and before[-1] > WIDEST_STEPS // 4:
        return int(before[-1])
    beyond = ends[(ends > WIDEST_STEPS) & (ends <= LONGEST_STEPS)]
    if len(beyond):
        return int(beyond[0])
    if steps >= LONGEST_STEPS:
        return LONGEST_STEPS
    return steps if is_final else None


def is_settled(columns: Columns) -> bool:
    """Whether later readings change no step before the last reading of a block."""
    return bool(moves(columns.column("counter_j").or_nan())[-1])
