"""Energy charged to a job so far, for live display: the bill's rules applied to each reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pricetag.accounting.readings.sharing import activity_ratio, charge_j, idle_j
from pricetag.metering import Component

LEAST_STEP_S = 0.2
"""Minimum interval for deriving power from a counter that advances in steps, in s."""


class ChargedSoFar:
    """Sums a job's share of each component reading by reading.

    The sum is for display only: the bill uses all readings together, and so recognizes frozen
    counters and places edges better.
    """

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}
        self._last: dict[str, Mapping[str, Any]] = {}
        self._energy_j: dict[str, float] = {}
        self._power_w: dict[str, float] = {}

    def begin(self, components: Iterable[Component]) -> None:
        """Start with these components, which include the job's share of each."""
        self._components = {component.id: component for component in components}

    def add(self, readings: Sequence[Mapping[str, Any]]) -> None:
        """Add readings, with the activity of their time."""
        for reading in readings:
            component = self._components.get(reading["component"])
            if component is None:  # the meter's first readings precede the start record
                self._last[reading["component"]] = reading
            else:
                self._take(component, reading)

    def figures(self) -> dict[str, float | None]:
        """``power_w`` over the last second and ``energy_j`` since the meter opened.

        Each is None while no component reports it.
        """
        return {"power_w": _sum(self._power_w), "energy_j": _sum(self._energy_j)}

    def _take(self, component: Component, reading: Mapping[str, Any]) -> None:
        last = self._last.get(component.id)
        elapsed_s = 0.0 if last is None else reading["t_s"] - last["t_s"]
        if last is not None and elapsed_s <= 0:
            return  # older than the last reading, but delivered later
        self._last[component.id] = reading
        gross_j = 0.0 if last is None else _gross_j(last, reading)
        if gross_j is None or (reading["counter_j"] is None and reading["integrated_j"] is None):
            self._power_w.pop(component.id, None)
            return
        idle = idle_j(gross_j, elapsed_s, component.baseline_w)
        own_ratio = None if last is None else _activity(last, reading)
        charged_j = charge_j(gross_j, idle, component.reserved_ratio, own_ratio)
        self._energy_j[component.id] = self._energy_j.get(component.id, 0.0) + charged_j
        if elapsed_s >= LEAST_STEP_S:
            self._power_w[component.id] = charged_j / elapsed_s


def _gross_j(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """Energy from the counter in J, or the integral if the counter was not read or was reset."""
    for name in ("counter_j", "integrated_j"):
        if before[name] is not None and after[name] is not None and after[name] >= before[name]:
            return float(after[name] - before[name])
    return None


def _activity(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    own_s, all_s = _gone(before, after, "own_busy_s"), _gone(before, after, "all_busy_s")
    return None if own_s is None or all_s is None else activity_ratio(own_s, all_s)[0]


def _gone(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> float | None:
    first, last = before.get(name), after.get(name)
    return None if first is None or last is None else float(last - first)


def _sum(parts: Mapping[str, float]) -> float | None:
    values = list(parts.values())
    return sum(values) if values else None
