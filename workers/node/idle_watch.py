"""Finds intervals in which a component is idle, to measure its idle power."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pricetag.accounting.readings.ledger import WindowEnergy
from pricetag.metering.baselines import MEASURE_S, Baseline
from pricetag.metering.states import State
from workers.node.machine import HOST, Use
from workers.node.readings import ComponentReadings

MAX_HOST_BUSY_RATIO = 0.1
"""Load per core from other work above which a host is not idle."""


@dataclass(slots=True)
class _Stretch:
    since_s: float
    state: State
    cpu_s: float | None


class IdleWatch:
    """Watches whether components are idle, and for how long they have been.

    Args:
        cores: Cores of the machine.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._stretches: dict[str, _Stretch] = {}

    def look(
        self, component: str, *, use: Use, state: State, now_s: float, cpu_s: float | None
    ) -> float | None:
        """Record the current use of a component.

        Args:
            component: Id of the component.
            use: Use of the machine's components, with times on the clock of ``now_s``.
            state: Current state of the component.
            now_s: Current time, in s.
            cpu_s: CPU seconds of the whole machine so far, None if unknown.

        Returns:
            Start of the component's idle time without a change of state, once it is long enough
            to be measured; None before.
        """
        held_as = component if component.startswith("gpu:") else HOST
        released_s = use.idle_since_s(held_as)
        if released_s is None or state.others:
            self._stretches.pop(component, None)
            return None
        stretch = self._stretches.get(component)
        if stretch is None or stretch.state != state or stretch.since_s < released_s:
            self._stretches[component] = _Stretch(now_s, state, cpu_s)
            return None
        if held_as == HOST and not self._is_quiet(stretch, now_s, cpu_s):
            self._stretches[component] = _Stretch(now_s, state, cpu_s)
            return None
        return stretch.since_s if now_s - stretch.since_s >= MEASURE_S else None

    def begin_anew(self, components: Iterable[str]) -> None:
        """Start over after a measurement or a gap in the readings."""
        for component in components:
            self._stretches.pop(component, None)

    def _is_quiet(self, stretch: _Stretch, now_s: float, cpu_s: float | None) -> bool:
        if cpu_s is None or stretch.cpu_s is None:
            return False  # other processes may have been busy
        elapsed_s = now_s - stretch.since_s
        return cpu_s - stretch.cpu_s <= MAX_HOST_BUSY_RATIO * self._cores * elapsed_s


def baseline(
    readings: ComponentReadings, window: WindowEnergy, state: State, at: datetime
) -> Baseline | None:
    """The idle power in a window; None if part of the window was not metered."""
    if window.energy_j is None or window.covered_s < 0.99 * window.duration_s:
        return None
    [*sources] = window.energy_by_source_j
    return Baseline(
        component=readings.component.id,
        settings=state.settings,
        level=state.level,
        power_w=window.energy_j / window.covered_s,
        power_std_w=readings.power_std_w(window.start_s, window.end_s),
        duration_s=window.duration_s,
        source=sources[0] if len(sources) == 1 else readings.component.method,
        measured_at=at,
    )
