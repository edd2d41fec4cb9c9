"""What the simulated devices do; the C library computes the same from the text form."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

NVML_SUCCESS = 0
NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NO_PERMISSION = 4
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_GPU_IS_LOST = 15
NVML_DEVICE_ARCH_UNKNOWN = 0xFFFFFFFF


def gpu_uuid(number: int) -> str:
    return f"GPU-{number:08x}-0000-4000-8000-{number:012x}"


@dataclass(frozen=True)
class FakeDevice:
    """One device; times are seconds since the trace's epoch.

    Attributes:
        base_w: Power from the beginning on.
        power: Steps ``(t, W)``, ascending: the power from ``t`` on.
        counter_mj: The counter at the epoch.
        resets: When the counter falls to zero.
        freezes: Intervals in which the counter does not advance; it does not catch up.
        losses: Stretches in which every call says that the GPU is lost.
        codes: Return code by what is asked: ``counter``, ``field`` or ``usage``.
        architecture: NVML's number of the architecture; unknown unless said.
        module_w: What the rest of a Grace-Hopper module draws; reported only at the module's scope.
    """

    uuid: str
    base_w: float = 100.0
    power: tuple[tuple[float, float], ...] = ()
    counter_mj: int = 5_000_000
    limit_w: float = 700.0
    memory_mb: int = 81920
    name: str = "NVIDIA Pretended 80GB"
    resets: tuple[float, ...] = ()
    freezes: tuple[tuple[float, float], ...] = ()
    losses: tuple[tuple[float, float], ...] = ()
    codes: dict[str, int] = field(default_factory=dict)
    architecture: int = NVML_DEVICE_ARCH_UNKNOWN
    module_w: float | None = None

    def field_w(self, field_id: int, t_s: float) -> tuple[int, float]:
        """Return code and power of one of the power fields."""
        return self.codes.get("field", NVML_SUCCESS), self.power_w(t_s)

    def power_w(self, t_s: float) -> float:
        steps = [self.base_w, *(watts for start_s, watts in self.power if start_s <= t_s)]
        return steps[-1]

    def energy_j(self, start_s: float, end_s: float) -> float:
        """Exact integral of the power, whatever the counter says."""
        total_j = 0.0
        edges_s = [0.0, *(start for start, _ in self.power), math.inf]
        watts = [self.base_w, *(watt for _, watt in self.power)]
        for (low_s, high_s), power_w in zip(pairwise(edges_s), watts, strict=True):
            total_j += power_w * max(0.0, min(end_s, high_s) - max(start_s, low_s))
        return total_j

    def counter_at_mj(self, t_s: float) -> int:
        reset_s = max((reset for reset in self.resets if reset <= t_s), default=None)
        start_s = 0.0 if reset_s is None else reset_s
        counted_j = self.energy_j(start_s, t_s)
        for from_s, to_s in self.freezes:
            counted_j -= self.energy_j(max(start_s, from_s), max(start_s, min(t_s, to_s)))
        return (self.counter_mj if reset_s is None else 0) + int(counted_j * 1000.0)

    def is_lost(self, t_s: float) -> bool:
        return any(from_s <= t_s < to_s for from_s, to_s in self.losses)


@dataclass(frozen=True)
class FakeTrace:
    """The devices, and the wall-clock time from which their seconds count.

    Attributes:
        tick_s: How often the C library's counters are updated; 0: they are always up to date.
    """

    devices: Sequence[FakeDevice]
    epoch_s: float = field(default_factory=time.time)
    tick_s: float = 0.0

    def device(self, uuid: str) -> FakeDevice:
        return next(device for device in self.devices if device.uuid == uuid)

    def to_text(self) -> str:
        lines = [f"epoch {self.epoch_s!r}", f"tick {self.tick_s!r}"]
        for device in self.devices:
            lines.append(
                f"device {device.uuid} {device.base_w!r} {device.counter_mj} {device.limit_w!r} "
                f"{device.memory_mb} {device.name}"
            )
            lines += [f"power {start!r} {watts!r}" for start, watts in device.power]
            lines += [f"reset {at!r}" for at in device.resets]
            lines += [f"freeze {start!r} {end!r}" for start, end in device.freezes]
            lines += [f"lost {start!r} {end!r}" for start, end in device.losses]
            lines += [f"code {what} {code}" for what, code in device.codes.items()]
        return "\n".join(lines) + "\n"


def true_energy_j(trace: FakeTrace, uuid: str, t0: float, t1: float) -> float:
    """What a device used between two wall-clock times (``time.time()``), in J."""
    return trace.device(uuid).energy_j(t0 - trace.epoch_s, t1 - trace.epoch_s)
