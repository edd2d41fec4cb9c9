"""CPU and memory without a readable counter: CodeCarbon's models, integrated exactly.

Power is modelled for each interval between two readings from the CPU's mean load over it, so
the energy is a sum of such intervals and needs no sampling in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pricetag.metering import codecarbon_parts
from pricetag.metering.codecarbon_parts import CpuModel
from pricetag.metering.memory_model import memory_component, memory_gib
from pricetag.metering.source import (
    UNAVAILABLE,
    Component,
    PowerSource,
    Reading,
)

CPU_GAIN_STD_RATIO = 0.45

IDLE_RATIO = 0.1
"""Power of :class:`CpuLoadModel` at no load, as a share of the TDP."""

MIN_INTERVAL_S = 0.25
"""The kernel counts CPU time in ticks of 10 ms: shorter intervals reuse the previous power."""


class PowerModel(Protocol):
    """A model of mean power, in W, since the last query."""

    def power_w(self) -> float | None:
        """Mean power since the last call of this or of ``restart``; None where unknown."""
        ...

    def restart(self) -> None:
        """Start the next interval now."""
        ...


Part = tuple[Component, PowerModel | None]
"""A component and its model; None where it has no model."""


class CpuLoadModel:
    """TDP and system load, by CodeCarbon's curve.

    Source: CodeCarbon 3.3.2, ``CPU`` in mode ``cpu_load``: TDP x (0.1 + 0.9 load^3).

    Args:
        cpu: CPU from CodeCarbon's table.
    """

    def __init__(self, cpu: CpuModel) -> None:
        hardware = codecarbon_parts.load("codecarbon.external.hardware")
        self._cpu = hardware.CPU(
            output_dir="", mode=hardware.MODE_CPU_LOAD, model=cpu.name, tdp=cpu.tdp_w
        )
        self._psutil = hardware.psutil
        self._counted_s = 0.0
        self.restart()

    def power_w(self) -> float | None:
        """See :class:`PowerModel`; some sandboxes report no CPU time, which does not mean idle."""
        before_s, self._counted_s = self._counted_s, sum(self._psutil.cpu_times())
        power_w = float(self._cpu.total_power().W)
        return power_w if self._counted_s > before_s else None

    def restart(self) -> None:
        """See :class:`PowerModel`."""
        self._counted_s = sum(self._psutil.cpu_times())
        self._cpu.start()


class ConstantModel:
    """A power that does not change.

    Args:
        power_w: Power, in W.
    """

    def __init__(self, power_w: float) -> None:
        self._power_w = power_w

    def power_w(self) -> float:
        """See :class:`PowerModel`."""
        return self._power_w

    def restart(self) -> None:
        """Nothing to restart."""


class _Modelled:
    """One modelled component and its energy so far; null without a model."""

    def __init__(self, component: Component, model: PowerModel | None) -> None:
        self.component = component
        self._model = model
        self._energy_j = 0.0
        self._power_w: float | None = None
        self._last_s: float | None = None
        self._asked_s = 0.0  # time of the last query, and the energy at that time
        self._asked_j = 0.0

    def read(self, now_s: float) -> Reading:
        if self._model is None:
            return Reading.silent(self.component.id, now_s, UNAVAILABLE)
        if self._last_s is None:
            self._model.restart()
            self._asked_s = now_s
        elif not self._advance(self._model, now_s, self._last_s):
            return self._fail(now_s)
        self._last_s = now_s
        return Reading(
            t_s=now_s,
            counter_j=None,
            integrated_j=self._energy_j,
            power_w=self._power_w,
            component=self.component.id,
        )

    def _advance(self, model: PowerModel, now_s: float, last_s: float) -> bool:
        """Add the interval that ends now; False when the model reports no power.

        Edges close together reuse the previous power until the next query of the model, which
        then covers the whole time since: however dense the edges, no load is missed.
        """
        elapsed_s = now_s - self._asked_s
        if self._power_w is not None and elapsed_s < MIN_INTERVAL_S:
            self._energy_j += self._power_w * (now_s - last_s)
            return True
        self._power_w = model.power_w()
        if self._power_w is None:
            return False
        self._energy_j = max(self._energy_j, self._asked_j + self._power_w * elapsed_s)
        self._asked_s, self._asked_j = now_s, self._energy_j
        return True

    def _fail(self, now_s: float) -> Reading:
        """A silent reading; permanently silent if the interval spanned a kernel tick."""
        if now_s - self._asked_s >= MIN_INTERVAL_S:
            self._model = None
        return Reading.silent(self.component.id, now_s, UNAVAILABLE)


class HostModelSource:
    """Modelled CPU and memory of the whole machine.

    Args:
        parts: Creates the components and their models; called by the first ``components()``.
    """

    def __init__(self, parts: Callable[[], Sequence[Part]]) -> None:
        self._parts = parts
        self._modelled: list[_Modelled] | None = None
        self._nothing: tuple[float | None, ...] = ()

    def components(self) -> list[Component]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        if self._modelled is None:
            self._modelled = [_Modelled(component, model) for component, model in self._parts()]
            self._nothing = (None,) * len(self._modelled)
        return [modelled.component for modelled in self._modelled]

    def sample(self, now_s: float) -> Sequence[float | None]:
        """Nothing to sample: the model is integrated by ``read``."""
        return self._nothing

    def read(self, now_s: float) -> list[Reading]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        return [modelled.read(now_s) for modelled in self._modelled or ()]

    def close(self) -> None:
        """Nothing to close."""


def prepare() -> float:
    """Load CodeCarbon and look the CPU up before the first job; returns the duration in s.

    Called when a worker starts. Does nothing where CodeCarbon is not installed.
    """
    started_s = time.perf_counter()
    if codecarbon_parts.is_installed():
        codecarbon_parts.cpu_model()
    return time.perf_counter() - started_s


def host_model(*, cpu: bool, ram: bool) -> PowerSource:
    """A source of the requested modelled components.

    Without CodeCarbon the CPU is null with the reason, never omitted.
    """
    return HostModelSource(
        lambda: [*(_cpu_parts() if cpu else ()), *((memory_part(),) if ram else ())]
    )


def cpu_component(cpu: CpuModel) -> Component:
    """The modelled CPU as the price tag lists it."""
    tdp_source = "TDP from CodeCarbon's table" if cpu.is_known else "unknown CPU: 4 W per thread"
    return Component(
        id="cpu",
        kind="cpu",
        name=cpu.name,
        method="modelled",
        gain_std_ratio=CPU_GAIN_STD_RATIO,
        power_limit_w=cpu.tdp_w,
        baseline_w=IDLE_RATIO * cpu.tdp_w,
        baseline_note="the model's power at no load",
        notes=f"{tdp_source}, {cpu.tdp_w:g} W, scaled by the load of the whole machine",
    )


def _cpu_parts() -> list[Part]:
    if not codecarbon_parts.is_installed():
        return [_missing_cpu(f"{codecarbon_parts.MISSING}: {codecarbon_parts.INSTALL_COMMAND}")]
    cpu = codecarbon_parts.cpu_model()
    if cpu is None:
        return [_missing_cpu("CodeCarbon cannot identify this CPU")]
    return [(cpu_component(cpu), CpuLoadModel(cpu))]


def memory_part() -> Part:
    """The machine's memory; without a model where the system does not report its size."""
    component = memory_component(memory_gib())
    power_w = component.baseline_w
    return component, None if power_w is None else ConstantModel(power_w)


def _missing_cpu(why: str) -> Part:
    return Component("cpu", "cpu", "CPU", "modelled", CPU_GAIN_STD_RATIO, None, why), None
