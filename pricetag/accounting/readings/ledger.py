"""Energy from readings: from the counter, or from the integral if the counter fails.

:mod:`pricetag.accounting.readings.step_energy` determines the energy between two readings, and
:mod:`pricetag.accounting.readings.sharing` the part that is charged to the job. Here the steps
become cumulative curves, so that the energy of any window is the difference of two points on
them: adjoining windows add up, and none is negative.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.readings.alignment import EDGE_ALIGNED
from pricetag.accounting.readings.component import BOOKING_RULES, Component
from pricetag.accounting.readings.curves import Curves, curves
from pricetag.accounting.readings.reading import Method, Reading
from pricetag.accounting.readings.sharing import share
from pricetag.accounting.readings.step_energy import (
    COUNTER_FROZEN,
    GAP,
    LOST,
    Evidence,
    book,
    source_of,
)
from pricetag.accounting.readings.window import FULL_COVERAGE_RATIO, WindowEnergy

__all__ = [
    "BookedSteps",
    "EnergyLedger",
    "Ledger",
    "Method",
    "Reading",
    "WindowEnergy",
    "window_energy",
]

DIVERGENCE_MIN_S = 10.0
"""Duration in s below which the update period of the counter dominates a window's error."""

DIVERGENCE_RATIO = 0.1
"""Relative difference of counter and integral above which a flag is set."""

MODEL_FACTOR = 5.0
"""Ratio of a host's counter to its model above which a flag is set."""

FAR_FROM_MODEL = "counter_far_from_model"

EDGE_TOLERANCE_S = 1e-3
"""Maximum distance of a window's edge from a reading that counts as a reading at the edge."""

MAX_GAP_S = 5.0
"""Maximum duration of a step between two readings over which power is assumed constant."""


def longest_step_s(method: Method, max_gap_s: float) -> float:
    """Maximum duration of a step for which an integral is trusted, in s.

    Estimates are sums over the intervals of another tool, however long.
    """
    return math.inf if method == "estimated" else max_gap_s


@dataclass(frozen=True, slots=True)
class BookedSteps:
    """The steps between a component's readings, booked and added up.

    Attributes:
        times_s: Times of the readings, ascending.
        evidence: Evidence of each step.
        flags: For each flag, the indices of its steps, ascending.
        aligned_s: Times with which the counter was aligned, ascending.
        curves: Cumulative figures at the times of the readings.
    """

    times_s: array[float]
    evidence: Sequence[Evidence]
    flags: Mapping[str, Sequence[int]]
    aligned_s: array[float]
    curves: Curves


class Ledger:
    """Booked steps of one component; the energy of each window takes O(log n).

    Args:
        booked: The steps.
        method: How the component is measured.
        has_model: Whether the integral beside a counter comes from a model, as for a host.
    """

    def __init__(self, booked: BookedSteps, method: Method, *, has_model: bool) -> None:
        self._has_model = has_model
        self._method: Method = method
        self._times = booked.times_s
        self._evidence = booked.evidence
        self._flags = booked.flags
        self._aligned = booked.aligned_s
        self._curves = booked.curves

    def window(self, start_s: float, end_s: float) -> WindowEnergy:
        """The energy charged in ``[start_s, end_s]`` (seconds on the readings' clock).

        Raises:
            ValueError: If the window ends before it starts or an edge is not finite.
        """
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
            raise ValueError(f"a window must end after it starts: [{start_s}, {end_s}] s")
        by_source, covered_s = self._settle(start_s, end_s)
        flags = self._flags_in(start_s, end_s, covered_s)
        has_energy = bool(by_source)
        energy_j = sum(by_source.values())
        return WindowEnergy(
            start_s=start_s,
            end_s=end_s,
            energy_j=energy_j if has_energy else None,
            energy_by_source_j=by_source,
            covered_s=covered_s,
            flags=flags,
            reason=None if has_energy else self._why_unknown(start_s, end_s, flags),
            device_energy_j=self._device_j(start_s, end_s) if has_energy else None,
            baseline_j=self._baseline_j(start_s, end_s, energy_j) if has_energy else None,
        )

    @property
    def read_s(self) -> tuple[float, float] | None:
        """Times of the first and the last reading with a figure; None if there are none."""
        return (self._times[0], self._times[-1]) if self._times else None

    def charged_j(self, start_s: float, end_s: float) -> float:
        """Energy charged in a window, in J; 0 if nothing was metered (see :meth:`window`)."""
        return sum(
            self._between(curve, start_s, end_s) for curve in self._curves.charged_j.values()
        )

    def windows(self, edges: Iterable[tuple[float, float]]) -> list[WindowEnergy]:
        """The energy of many windows ``(start_s, end_s)``."""
        return [self.window(start_s, end_s) for start_s, end_s in edges]

    def _settle(self, start_s: float, end_s: float) -> tuple[dict[Source, float], float]:
        by_source: dict[Source, float] = {}
        total_s = 0.0
        for evidence, gross in self._curves.gross_j.items():
            covered_s = self._between(self._curves.covered_s[evidence], start_s, end_s)
            if covered_s > 0 or self._between(gross, start_s, end_s) > 0:
                source = source_of(evidence, self._method, has_model=self._has_model)
                charged = self._curves.charged_j[evidence]
                by_source[source] = self._between(charged, start_s, end_s)
                total_s += covered_s
        return by_source, min(total_s, end_s - start_s)

    def _device_j(self, start_s: float, end_s: float) -> float:
        return sum(self._between(gross, start_s, end_s) for gross in self._curves.gross_j.values())

    def _baseline_j(self, start_s: float, end_s: float, energy_j: float) -> float | None:
        curve = self._curves.baseline_j
        return None if curve is None else min(self._between(curve, start_s, end_s), energy_j)

    def _between(self, curve: array[float], start_s: float, end_s: float) -> float:
        return max(self._at(curve, end_s) - self._at(curve, start_s), 0.0)

    def _at(self, curve: array[float], t_s: float) -> float:
        """A cumulative curve at any time: constant outside the readings, linear between them."""
        after = bisect_right(self._times, t_s)
        if after == 0:
            return 0.0
        if after == len(self._times):
            return curve[-1]
        here_s, next_s = self._times[after - 1], self._times[after]
        share = (t_s - here_s) / (next_s - here_s)
        return curve[after - 1] + (curve[after] - curve[after - 1]) * share

    def _steps_in(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Half-open range of the steps that overlap a window."""
        first = max(bisect_right(self._times, start_s) - 1, 0)
        last = min(bisect_left(self._times, end_s), len(self._evidence))
        return first, max(first, last)

    def _flags_in(self, start_s: float, end_s: float, covered_s: float) -> tuple[str, ...]:
        first, last = self._steps_in(start_s, end_s)
        flags = {
            name
            for name, steps in self._flags.items()
            if bisect_left(steps, last) > bisect_left(steps, first)
        }
        if self._interpolated(start_s) or self._interpolated(end_s):
            flags.add("edge_interpolated")
        if self._is_aligned(start_s) and self._is_aligned(end_s):
            flags.add(EDGE_ALIGNED)
        if self._diverges(start_s, end_s):
            flags.add(FAR_FROM_MODEL if self._has_model else "counter_integral_divergence")
        if covered_s < FULL_COVERAGE_RATIO * (end_s - start_s) - EDGE_TOLERANCE_S:
            flags.add("partly_covered" if covered_s > 0 else "not_covered")
        return tuple(sorted(flags))

    def _interpolated(self, t_s: float) -> bool:
        after = bisect_right(self._times, t_s)
        if after in (0, len(self._times)) or self._evidence[after - 1] == "none":
            return False
        nearest_s = min(t_s - self._times[after - 1], self._times[after] - t_s)
        return nearest_s > EDGE_TOLERANCE_S

    def _is_aligned(self, t_s: float) -> bool:
        """Whether the counter was aligned with this time."""
        after = bisect_left(self._aligned, t_s - EDGE_TOLERANCE_S)
        return after < len(self._aligned) and self._aligned[after] <= t_s + EDGE_TOLERANCE_S

    def _diverges(self, start_s: float, end_s: float) -> bool:
        curves = self._curves
        if self._between(curves.both_s, start_s, end_s) < DIVERGENCE_MIN_S:
            return False
        counter_j = self._between(curves.both_counter_j, start_s, end_s)
        integral_j = self._between(curves.both_integral_j, start_s, end_s)
        if self._has_model:
            return not integral_j <= MODEL_FACTOR * counter_j <= MODEL_FACTOR**2 * integral_j
        return abs(counter_j - integral_j) > DIVERGENCE_RATIO * max(counter_j, integral_j)

    def _why_unknown(self, start_s: float, end_s: float, flags: tuple[str, ...]) -> str:
        if not self._times:
            return "the component was never read"
        if end_s <= self._times[0] or start_s >= self._times[-1]:
            return "no reading falls into the window"
        if LOST in flags:
            return "the component was lost"
        if COUNTER_FROZEN in flags and self._has_model:
            return "the counter stood still, and there is no model in its place"
        if GAP in flags:
            return "the readings are too far apart to integrate"
        return "the window holds no time"


class EnergyLedger(Ledger):
    """The readings of one component, settled once.

    Args:
        readings: Readings in order of time.
        method: How the component is measured.
        reserved_ratio: Share of the component that is reserved for the job, 0 to 1.
        baseline_w: Idle power of the component in W, if known.
        max_gap_s: Maximum duration of a step for which an integral is trusted, in s.
        has_model: Whether the integral beside a counter comes from a model, as for a host.
        rules: Version of the booking rules.

    Raises:
        ValueError: If the share is not from 0 to 1, or the baseline is negative.
    """

    def __init__(
        self,
        readings: Sequence[Reading],
        method: Method = "counter",
        *,
        reserved_ratio: float = 1.0,
        baseline_w: float | None = None,
        max_gap_s: float = MAX_GAP_S,
        has_model: bool = False,
        rules: int = BOOKING_RULES,
    ) -> None:
        max_gap_s = longest_step_s(method, max_gap_s)
        booking = book(
            readings, method=method, max_gap_s=max_gap_s, has_model=has_model, rules=rules
        )
        shares = share(booking, reserved_ratio=reserved_ratio, baseline_w=baseline_w)
        aligned = (r.t_s for r in booking.readings if EDGE_ALIGNED in r.flags)
        booked = BookedSteps(
            times_s=array("d", (reading.t_s for reading in booking.readings)),
            evidence=booking.evidence,
            flags={**booking.flags, **shares.flags},
            aligned_s=array("d", aligned),
            curves=curves(booking, shares, max_gap_s),
        )
        super().__init__(booked, method, has_model=has_model)

    @classmethod
    def of(
        cls, component: Component, readings: Sequence[Reading], *, max_gap_s: float = MAX_GAP_S
    ) -> EnergyLedger:
        """The ledger of a component, with the share reserved for the job.

        Args:
            component: The component.
            readings: Its readings in order of time.
            max_gap_s: Maximum duration of a step for which an integral is trusted, in s.
        """
        return cls(
            readings,
            component.method,
            reserved_ratio=component.reserved_ratio,
            baseline_w=component.baseline_w,
            max_gap_s=max_gap_s,
            has_model=component.has_model,
            rules=component.booking_rules,
        )


def window_energy(
    readings: Sequence[Reading],
    *,
    start_s: float,
    end_s: float,
    method: Method = "counter",
    max_gap_s: float = MAX_GAP_S,
) -> WindowEnergy:
    """The energy of one component over one window, in time linear in the readings.

    Args:
        readings: Readings of one component, in order of time.
        start_s: Start of the window, on the readings' clock.
        end_s: End of the window.
        method: How the component is measured.
        max_gap_s: Maximum duration of a step for which an integral is trusted, in s.

    Returns:
        The metered energy. For many windows over the same readings, use :class:`EnergyLedger`.

    Raises:
        ValueError: If the window ends before it starts.
    """
    return EnergyLedger(readings, method, max_gap_s=max_gap_s).window(start_s, end_s)
