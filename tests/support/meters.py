"""A clock set by the test, and meters driven by it."""

from __future__ import annotations

from collections.abc import Sequence

from pricetag.metering.meter import Meter
from pricetag.metering.source import Component, Reading


class Clock:
    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class ScriptedSource:
    """Plays ``power_w`` and ``counter_j``; set ``error`` to make it raise."""

    def __init__(self, component_id: str = "gpu:a", power_w: float | None = 100.0) -> None:
        self.id = component_id
        self.power_w = power_w
        self.counter_j: float | None = None
        self.flags: list[str] = []
        self.error: Exception | None = None
        self.is_closed = False

    def components(self) -> list[Component]:
        return [Component(self.id, "gpu", "scripted", "counter", 0.05)]

    def sample(self, now_s: float) -> Sequence[float | None]:
        if self.error is not None:
            raise self.error
        return [self.power_w]

    def read(self, now_s: float) -> list[Reading]:
        if self.error is not None:
            raise self.error
        return [
            Reading(
                t_s=now_s,
                counter_j=self.counter_j,
                integrated_j=None,
                power_w=self.power_w,
                flags=tuple(self.flags),
                component=self.id,
            )
        ]

    def close(self) -> None:
        self.is_closed = True


def advance(meter: Meter, clock: Clock, seconds: float, step_s: float = 0.1) -> None:
    """Let time pass, polling the meter as its thread would."""
    for _ in range(round(seconds / step_s)):
        clock.now_s += step_s
        meter.poll()


def booked(readings: Sequence[Reading], component: str) -> list[Reading]:
    """The readings of one component."""
    return [reading for reading in readings if reading.component == component]
