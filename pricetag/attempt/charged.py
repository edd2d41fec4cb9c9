"""Energy charged to a job so far, for live display: the bill's rules applied to each reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pricetag.accounting.readings.sharing import activity_ratio, charge_j, idle_j
from pricetag.accounting.readings.step_energy import (
    FROZEN_ABOVE_W,
    FROZEN_AFTER_S,
    IMPLAUSIBLE_POWER,
    LOST,
    RESET,
    integral_delta,
)
from pricetag.metering import Component, Reading

LEAST_STEP_S = 0.2
"""Minimum interval for deriving power from a counter that advances in steps, in s."""

STANDS_STILL = "its counter is not moving"
JUMPED = "its counter jumped or was reset"
UNREADABLE = "it cannot be read"
NOT_READ = "it has not been read for a second yet"


@dataclass(frozen=True, slots=True)
class Figures:
    """The charges of a job so far.

    Attributes:
        power_w: Power over the last second; None while no component states one.
        energy_j: Energy since the meter opened, likewise.
        unknown: Why the power of a component is missing from the sum, by component.
    """

    power_w: float | None
    energy_j: float | None
    unknown: dict[str, str]


class ChargedSoFar:
    """Adds up a job's share of each component, reading by reading.

    The sum is for display only: the bill uses all readings together, and so recognizes frozen
    counters and places edges better.
    """

    def __init__(self) -> None:
        self._components: dict[str, _Charged] = {}
        self._early: list[Reading] = []

    def begin(self, components: Iterable[Component]) -> None:
        """The components, with the job's part of each."""
        self._components = {component.id: _Charged(component) for component in components}
        early, self._early = self._early, []
        self.add(early)

    def add(self, readings: Sequence[Reading]) -> None:
        """Further readings, with the activity of their time."""
        for reading in readings:
            component = self._components.get(reading.component)
            if component is not None:
                component.take(reading)
            elif not self._components:  # the meter's first readings come before
                self._early.append(reading)

    def figures(self) -> Figures:
        """The charge up to the last reading."""
        components = self._components
        return Figures(
            power_w=_sum(component.power_w for component in components.values()),
            energy_j=_sum(component.energy_j for component in components.values()),
            unknown={
                id_: component.unknown for id_, component in components.items() if component.unknown
            },
        )


class _Charged:
    """The charge of one component, up to its last informative reading."""

    def __init__(self, component: Component) -> None:
        self.power_w: float | None = None
        self.energy_j: float | None = None
        self.unknown: str | None = NOT_READ
        self._component = component
        self._last: Reading | None = None  # where the next step begins
        self._replaced_j = 0.0  # booked instead of the counter since it stopped

    def take(self, reading: Reading) -> None:
        before = self._last
        if before is not None and reading.t_s <= before.t_s:
            return  # taken before the last reading, but delivered later
        if reading.counter_j is None and reading.integrated_j is None:
            self._last = reading if LOST in reading.flags else before
            self._without_power(UNREADABLE)
            return
        if before is None or LOST in before.flags:
            self._last, self.energy_j = reading, self.energy_j or 0.0
            return
        if self._stands_still(before, reading):
            self._stand(before, reading)
            return
        self._last = reading
        gross_j = self._gross_j(before, reading)
        if gross_j is None:
            is_counted = before.counter_j is not None and reading.counter_j is not None
            self._without_power(JUMPED if is_counted else UNREADABLE)
        else:
            self._charge(before, reading, gross_j)

    def _stand(self, before: Reading, after: Reading) -> None:
        """A counter that has not moved: the step continues until it does, or takes too long."""
        elapsed_s, integral_j = after.t_s - before.t_s, integral_delta(before, after)
        if elapsed_s < FROZEN_AFTER_S and not self._replaced_j:
            return
        if integral_j is None:
            self._without_power(STANDS_STILL)
            return
        self._last = after
        is_frozen = self._component.has_model or integral_j > FROZEN_ABOVE_W * elapsed_s
        replaced_j = integral_j if is_frozen else 0.0
        self._replaced_j += replaced_j
        self._charge(before, after, replaced_j)

    def _charge(self, before: Reading, after: Reading, gross_j: float) -> None:
        elapsed_s = after.t_s - before.t_s
        idle = idle_j(gross_j, elapsed_s, self._component.baseline_w)
        charged_j = charge_j(
            gross_j, idle, self._component.reserved_ratio, _activity(before, after)
        )
        self.energy_j = (self.energy_j or 0.0) + charged_j
        if elapsed_s >= LEAST_STEP_S:
            self.power_w, self.unknown = charged_j / elapsed_s, None

    def _without_power(self, why: str) -> None:
        self.power_w, self.unknown = None, why

    def _stands_still(self, before: Reading, after: Reading) -> bool:
        is_counter = self._component.method == "counter" and after.counter_j is not None
        return is_counter and after.counter_j == before.counter_j

    def _gross_j(self, before: Reading, after: Reading) -> float | None:
        """Energy by the counter, or by the integral if the counter is implausible."""
        if before.counter_j is None or after.counter_j is None:
            return integral_delta(before, after)
        counted_j = after.counter_j - before.counter_j
        if counted_j < 0 or RESET in after.flags or IMPLAUSIBLE_POWER in after.flags:
            return integral_delta(before, after)
        # A counter that catches up counts energy again that was booked from the model.
        replaced_j, self._replaced_j = self._replaced_j, 0.0
        return counted_j - replaced_j if counted_j >= replaced_j else counted_j


def _activity(before: Reading, after: Reading) -> float | None:
    own_s = _elapsed(before.own_busy_s, after.own_busy_s)
    all_s = _elapsed(before.all_busy_s, after.all_busy_s)
    return None if own_s is None or all_s is None else activity_ratio(own_s, all_s)[0]


def _elapsed(before_s: float | None, after_s: float | None) -> float | None:
    return None if before_s is None or after_s is None else after_s - before_s


def _sum(parts: Iterable[float | None]) -> float | None:
    values = [part for part in parts if part is not None]
    return sum(values) if values else None
