"""Figures that the meter computes: the integral of power, and plausibility checks."""

from __future__ import annotations

from dataclasses import dataclass

from pricetag.accounting.readings.ledger import DIVERGENCE_MIN_S, DIVERGENCE_RATIO

MAX_LIMIT_RATIO = 3.0
"""Maximum power over a second, as a multiple of the power limit."""

LEAST_BOUND_S = 1.0
"""A rarely updated counter may add up to this many seconds of energy at once."""

MAX_STALL_S = 2.0
"""Longest gap between two power samples, in s, that the trapezoid may bridge."""


@dataclass(slots=True)
class Trapezoid:
    """Running integral of one component's power.

    Attributes:
        energy_j: Integral since the first sample, None before it.
        valid: Whether the latest sample could be read.
        gap: Whether a gap was skipped since the last reading.
    """

    energy_j: float | None = None
    last_t_s: float | None = None
    last_power_w: float = 0.0
    valid: bool = False
    gap: bool = False

    def add(self, t_s: float, power_w: float | None) -> None:
        """Add a sample in W, None where power could not be read."""
        if power_w is None:
            self.valid = False
            return
        if self.energy_j is None:
            self.energy_j = 0.0
        if self.last_t_s is not None:
            elapsed_s = t_s - self.last_t_s
            if elapsed_s > MAX_STALL_S:
                self.gap = True
            elif elapsed_s > 0:
                self.energy_j += 0.5 * (power_w + self.last_power_w) * elapsed_s
        self.last_t_s, self.last_power_w, self.valid = t_s, power_w, True

    def interrupt(self) -> None:
        """Do not bridge to the next sample: the device was gone in between."""
        if self.last_t_s is not None:
            self.gap = True
        self.last_t_s, self.valid = None, False

    def take_gap(self) -> bool:
        """Whether a gap was skipped since the last call."""
        gap, self.gap = self.gap, False
        return gap


@dataclass(slots=True)
class Divergence:
    """Detects whether a component's counter diverges from its integral.

    Attributes:
        ratio: Relative difference between counter and integral in the first 10 s interval
            where it exceeds a tenth; None until then.
    """

    last_counter_j: float | None = None
    last_integrated_j: float | None = None
    ratio: float | None = None
    last_s: float = 0.0
    compared_s: float = 0.0
    compared_counter_j: float = 0.0
    compared_integral_j: float = 0.0

    def add(self, t_s: float, counter_j: float | None, integrated_j: float | None) -> None:
        """Add a reading."""
        counted_j = _increase(self.last_counter_j, counter_j)
        integral_j = _increase(self.last_integrated_j, integrated_j)
        if counted_j is not None and integral_j is not None:
            self._compare(t_s - self.last_s, counted_j, integral_j)
        self.last_s, self.last_counter_j, self.last_integrated_j = t_s, counter_j, integrated_j

    def _compare(self, elapsed_s: float, counter_j: float, integral_j: float) -> None:
        if elapsed_s > MAX_STALL_S:  # the integral has a gap there
            return
        self.compared_s += elapsed_s
        self.compared_counter_j += counter_j
        self.compared_integral_j += integral_j
        if self.compared_s < DIVERGENCE_MIN_S:
            return
        difference_j = self.compared_counter_j - self.compared_integral_j
        most_j = max(self.compared_counter_j, self.compared_integral_j)
        if self.ratio is None and abs(difference_j) > DIVERGENCE_RATIO * most_j:
            self.ratio = difference_j / max(self.compared_integral_j, 1e-9)
        self.compared_s = self.compared_counter_j = self.compared_integral_j = 0.0


@dataclass(slots=True)
class PowerBound:
    """Detects whether a device's counter rises faster than the device can draw.

    Attributes:
        limit_w: The device's power limit; None disables the check.
    """

    limit_w: float | None
    moved_s: float = 0.0
    counter_j: float | None = None

    def is_exceeded(self, t_s: float, counter_j: float | None) -> bool:
        """Whether the rise since the last reading is too large to be energy; adds the reading."""
        if counter_j is None or counter_j == self.counter_j:
            return False
        before_j, self.counter_j = self.counter_j, counter_j
        elapsed_s, self.moved_s = t_s - self.moved_s, t_s
        if before_j is None or self.limit_w is None:
            return False
        most_j = MAX_LIMIT_RATIO * self.limit_w * max(elapsed_s, LEAST_BOUND_S)
        return counter_j - before_j > most_j


def _increase(before: float | None, after: float | None) -> float | None:
    if before is None or after is None or after < before:
        return None
    return after - before
