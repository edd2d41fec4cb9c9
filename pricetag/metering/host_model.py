"""CPU and memory where no counter can be read: CodeCarbon's model, integrated exactly.

Power is modelled for each interval between two readings from the CPU's mean load over it, so
the energy is a sum of such intervals and needs no sampling in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pricetag.metering import codecarbon_parts
from pricetag.metering.codecarbon_parts import CpuModel
from pricetag.metering.source import (
    UNAVAILABLE,
    Component,
    ComponentKind,
    PowerSource,
    Reading,
    UnavailableSource,
    silent,
)

CPU_GAIN_STD_RATIO = 0.45
RAM_GAIN_STD_RATIO = 1.0
"""Times or divided by two."""

IDLE_RATIO = 0.1
"""What :class:`CpuLoadModel` gives at no load, over the TDP."""

MIN_INTERVAL_S = 0.25
"""The kernel counts CPU time in ticks of 10 ms: shorter intervals take the power before."""


class PowerModel(Protocol):
    """Something whose power, in W, is modelled since the last time it was asked."""

    def power_w(self) -> float | None:
        """Mean power since the last call of this or of ``restart``; None where it cannot tell."""
        ...

    def restart(self) -> None:
        """Let the next interval begin now."""
        ...


Part = tuple[Component, PowerModel | None]
"""A component and its model; None where there is none."""


class CpuLoadModel:
    """TDP and system load, by CodeCarbon's curve.

    Source: CodeCarbon 3.3.2, ``CPU`` in mode ``cpu_load``: TDP x (0.1 + 0.9 load^3).

    Args:
        cpu: The CPU that was looked up.
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
        """See :class:`PowerModel`; some sandboxes count no CPU time, which is not idleness."""
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
        power_w: In W.
    """

    def __init__(self, power_w: float) -> None:
        self._power_w = power_w

    def power_w(self) -> float:
        """See :class:`PowerModel`."""
        return self._power_w

    def restart(self) -> None:
        """Nothing to begin."""


class _Modelled:
    """One modelled component and its energy so far; without a model it is null."""

    def __init__(self, component: Component, model: PowerModel | None) -> None:
        self.component = component
        self._model = model
        self._energy_j = 0.0
        self._power_w: float | None = None
        self._last_s: float | None = None
        self._asked_s = 0.0  # when the model was asked last, and the energy by then
        self._asked_j = 0.0

    def read(self, now_s: float) -> Reading:
        if self._model is None:
            return silent(self.component.id, UNAVAILABLE)
        if self._last_s is None:
            self._model.restart()
            self._asked_s = now_s
        elif not self._advance(self._model, now_s, self._last_s):
            return self._fail(now_s - self._asked_s)
        self._last_s = now_s
        return Reading(
            component=self.component.id,
            counter_j=None,
            integrated_j=self._energy_j,
            power_w=self._power_w,
            flags=[],
        )

    def _advance(self, model: PowerModel, now_s: float, last_s: float) -> bool:
        """Add the interval that ends now; False when the model cannot tell its power.

        Edges that follow closely take the power before until the model can be asked again,
        which then has the whole time since: however dense they are, no load is overlooked.
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

    def _fail(self, elapsed_s: float) -> Reading:
        """Silence; for good if the interval was long enough for any tick of the kernel's."""
        if elapsed_s >= MIN_INTERVAL_S:
            self._model = None
        return silent(self.component.id, UNAVAILABLE)


class HostModelSource:
    """Modelled CPU and memory of the whole machine.

    Args:
        parts: Makes the components and their models; called at the first ``components()``.
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
        """Nothing stays open."""


def prepare() -> float:
    """Load CodeCarbon and look the CPU up, so that no job waits for it; the seconds it took.

    To be called when a worker starts. Does nothing where CodeCarbon is not installed.
    """
    started_s = time.perf_counter()
    if codecarbon_parts.is_installed():
        codecarbon_parts.cpu_model()
    return time.perf_counter() - started_s


def host_model(*, cpu: bool, ram: bool) -> PowerSource:
    """A source of the modelled components that are wanted.

    Without CodeCarbon they are null with the reason, never left out.
    """
    if codecarbon_parts.is_installed():
        return HostModelSource(
            lambda: [*(_cpu_parts() if cpu else ()), *(_ram_parts() if ram else ())]
        )
    why = f"{codecarbon_parts.MISSING}: {codecarbon_parts.INSTALL_COMMAND}"
    missing = [*([_missing("cpu", why)] if cpu else []), *([_missing("ram", why)] if ram else [])]
    return UnavailableSource(missing)


def cpu_component(cpu: CpuModel) -> Component:
    """The modelled CPU as the price tag lists it."""
    known = "TDP from CodeCarbon's table" if cpu.is_known else "CPU unknown: 4 W a thread"
    return Component(
        id="cpu",
        kind="cpu",
        name=cpu.name,
        method="modelled",
        gain_std_ratio=CPU_GAIN_STD_RATIO,
        power_limit_w=cpu.tdp_w,
        baseline_w=IDLE_RATIO * cpu.tdp_w,
        baseline_note="the model's power at no load",
        notes=f"{known}, {cpu.tdp_w:g} W, by the load of the whole machine",
    )


def _cpu_parts() -> list[Part]:
    cpu = codecarbon_parts.cpu_model()
    if cpu is None:
        return [(_missing("cpu", "CodeCarbon cannot tell what CPU this is"), None)]
    return [(cpu_component(cpu), CpuLoadModel(cpu))]


def _ram_parts() -> list[Part]:
    ram = codecarbon_parts.load("codecarbon.external.ram").RAM(tracking_mode="machine")
    size_gb = float(ram.machine_memory_GB)
    # Asked for its heuristic, not for total_power(), which turns any failure into 0 W.
    power_w = float(ram._calculate_ram_power(size_gb))
    component = Component(
        id="ram",
        kind="ram",
        name=f"{size_gb:.0f} GB RAM",
        method="modelled",
        gain_std_ratio=RAM_GAIN_STD_RATIO,
        power_limit_w=None,
        baseline_w=power_w,
        baseline_note="the model's power is the same at any load",
        notes=f"{power_w:g} W by CodeCarbon's count of memory modules",
    )
    return [(component, ConstantModel(power_w))]


def _missing(kind: ComponentKind, why: str) -> Component:
    gain_std_ratio = CPU_GAIN_STD_RATIO if kind == "cpu" else RAM_GAIN_STD_RATIO
    return Component(kind, kind, kind.upper(), "modelled", gain_std_ratio, None, why)
