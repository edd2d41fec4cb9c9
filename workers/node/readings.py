"""One component's readings by the node's meter, settled interval by interval like a bill."""

from __future__ import annotations

import statistics
from collections import deque

from pricetag.accounting.readings.ledger import EnergyLedger, Reading, WindowEnergy
from pricetag.metering.source import Component

KEEP_S = 150.0
"""Time for which readings are kept, in s: an idle measurement and a margin."""

SETTLE_S = 20.0
"""Delay of booking, in s, since later readings distinguish a stalled counter from a slow one."""


class ComponentReadings:
    """The latest readings of one component.

    Args:
        component: The component.
    """

    def __init__(self, component: Component) -> None:
        self.component = component
        self._readings: deque[Reading] = deque()
        self._booked_s: float | None = None

    def add(self, reading: Reading) -> None:
        """Add one reading as emitted by the meter."""
        self._readings.append(reading)
        if self._booked_s is None:
            self._booked_s = reading.t_s
        while self._readings[0].t_s < min(reading.t_s - KEEP_S, self._booked_s - SETTLE_S):
            self._readings.popleft()

    def first_counter(self) -> tuple[float, float] | None:
        """Time and counter of the first kept reading, if it has a counter."""
        if not self._readings or self._readings[0].counter_j is None:
            return None
        return self._readings[0].t_s, self._readings[0].counter_j

    def settle(self, *, everything: bool = False) -> tuple[WindowEnergy, float | None] | None:
        """Energy since the last settlement, and the counter at its end.

        A counter is settled with some delay, since later readings may clarify earlier
        ones; a component without a counter is settled at once, since a crash would lose its
        energy.

        Args:
            everything: Whether to settle up to the last reading, as at the meter's end.
        """
        if not self._readings or self._booked_s is None:
            return None
        has_counter = self._readings[-1].counter_j is not None
        limit_s = self._readings[-1].t_s - (SETTLE_S if has_counter and not everything else 0.0)
        due = [item for item in self._readings if self._booked_s < item.t_s <= limit_s]
        if not due:
            return None
        window = self.window(self._booked_s, due[-1].t_s)
        self._booked_s = due[-1].t_s
        return window, due[-1].counter_j

    def window(self, start_s: float, end_s: float) -> WindowEnergy:
        """Energy of an interval covered by the readings."""
        return EnergyLedger.of(self.component, list(self._readings)).window(start_s, end_s)

    def power_std_w(self, start_s: float, end_s: float) -> float | None:
        """Standard deviation of the power samples, in W; None if there are too few."""
        powers_w = [
            item.power_w
            for item in self._readings
            if start_s <= item.t_s <= end_s and item.power_w is not None
        ]
        return statistics.stdev(powers_w) if len(powers_w) > 1 else None
