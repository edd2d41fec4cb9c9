"""GPUs as their sensors show them: what is really drawn, and what NVML reports.

Windows and update periods: Yang et al. 2024, SC24, arXiv:2312.02741. Gains are 1: what is
simulated is where in time a sensor looks, not how well it is calibrated.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import pynvml

from tests.support.fake_nvml.trace import NVML_ERROR_NOT_SUPPORTED, gpu_uuid

TICK_JITTER_RATIO = 0.01
"""How far an update of the counter may come from its beat, as a part of the period."""


class PowerTrace:
    """The power that is really drawn, constant between its steps.

    Args:
        steps: ``(t, W)``, ascending from ``t = 0``: the power from ``t`` on.
    """

    def __init__(self, steps: Sequence[tuple[float, float]]) -> None:
        self._times_s = [time_s for time_s, _ in steps]
        self._watts = [watts for _, watts in steps]
        parts_j = (
            watts * (end_s - start_s)
            for (start_s, end_s), watts in zip(pairwise(self._times_s), self._watts, strict=False)
        )
        self._sums_j = list(accumulate(parts_j, initial=0.0))

    def power_w(self, t_s: float) -> float:
        return self._watts[max(bisect_right(self._times_s, t_s) - 1, 0)]

    def energy_until_j(self, t_s: float) -> float:
        """What was used from the beginning on."""
        index = max(bisect_right(self._times_s, t_s) - 1, 0)
        return self._sums_j[index] + self._watts[index] * (t_s - self._times_s[index])

    def energy_j(self, start_s: float, end_s: float) -> float:
        return self.energy_until_j(end_s) - self.energy_until_j(start_s)


@dataclass(frozen=True)
class View:
    """A power sensor: the mean of the last ``window_s``, again every ``update_s``."""

    window_s: float
    update_s: float


@dataclass(frozen=True)
class Sensors:
    """What a kind of GPU reports.

    Attributes:
        name: Product name.
        architecture: NVML's number of the architecture.
        usage: What ``nvmlDeviceGetPowerUsage`` shows.
        counter_s: How often the energy counter is updated.
        fields: What the power fields show, by field; others are not supported.
    """

    name: str
    architecture: int
    usage: View
    counter_s: float
    fields: dict[int, View] = field(default_factory=dict)


INSTANT, AVERAGE = pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_POWER_AVERAGE
QUARTER, SECOND = View(0.025, 0.1), View(1.0, 0.1)

VOLTA = Sensors("V100 (simulated)", pynvml.NVML_DEVICE_ARCH_VOLTA, View(0.01, 0.02), 0.02)
A100 = Sensors("A100 (simulated)", pynvml.NVML_DEVICE_ARCH_AMPERE, QUARTER, 0.1, {INSTANT: QUARTER})
H100 = Sensors(
    "H100 (simulated)",
    pynvml.NVML_DEVICE_ARCH_HOPPER,
    SECOND,
    0.1,
    {INSTANT: QUARTER, AVERAGE: SECOND},
)


class SimulatedDevice:
    """One GPU with a true power and the sensors of its kind; seeded."""

    def __init__(self, sensors: Sensors, trace: PowerTrace, *, seed: int = 0) -> None:
        self.sensors = sensors
        self.trace = trace
        self.uuid = gpu_uuid(seed + 1)
        self.name = sensors.name
        self.architecture = sensors.architecture
        self.limit_w = 700.0
        self.memory_mb = 81920
        self.codes: dict[str, int] = {}
        self._seed = seed
        self._phase_s = random.Random(seed).random()

    def is_lost(self, t_s: float) -> bool:
        return False

    def power_w(self, t_s: float) -> float:
        return self._seen_w(self.sensors.usage, t_s)

    def field_w(self, field_id: int, t_s: float) -> tuple[int, float]:
        view = self.sensors.fields.get(field_id)
        if view is None:
            return NVML_ERROR_NOT_SUPPORTED, 0.0
        return 0, self._seen_w(view, t_s)

    def counter_at_mj(self, t_s: float) -> int:
        return 5_000_000 + int(self.trace.energy_until_j(self.last_tick_s(t_s)) * 1000.0)

    def last_tick_s(self, t_s: float) -> float:
        """When the counter was last updated."""
        period_s = self.sensors.counter_s
        beat = int((t_s - self._phase_s) // period_s) + 1
        while (tick_s := self._tick_s(beat)) > t_s:
            beat -= 1
        return max(tick_s, 0.0)

    def _tick_s(self, beat: int) -> float:
        jitter = random.Random(self._seed * 1_000_003 + beat).uniform(-1.0, 1.0)
        return self._phase_s + (beat + TICK_JITTER_RATIO * jitter) * self.sensors.counter_s

    def _seen_w(self, view: View, t_s: float) -> float:
        updates = (t_s - self._phase_s) // view.update_s
        seen_s = max(self._phase_s + updates * view.update_s, 0.0)
        start_s = max(seen_s - view.window_s, 0.0)
        if seen_s <= start_s:
            return self.trace.power_w(0.0)
        return self.trace.energy_j(start_s, seen_s) / (seen_s - start_s)
