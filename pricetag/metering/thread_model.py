"""CPU without a counter and without CodeCarbon: a mean server, by hardware threads.

It needs no table of processors and is ready at once, for programs that are metered without a
worker. A known processor's power differs from the mean: the error is accordingly large.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pricetag.metering.activity import PROC, machine_busy_s
from pricetag.metering.host_model import HostModelSource, Part, memory_part
from pricetag.metering.source import Component, PowerSource

IDLE_W = 0.74
BUSY_W = 3.5
"""Power of one hardware thread of a server, idle and busy, in W.

Source: Cloud Carbon Footprint, Methodology, Energy Estimate: mean of the processors that AWS uses,
from SPECpower_ssj2008 results; means of other providers are 0.71 to 0.78 and 3.76 to 4.26.
"""

CPU_STD_RATIO = 0.6
"""Processors of the same number of threads differ by up to three times."""


class ThreadModel:
    """A power between idle and busy, by the load of the machine's hardware threads.

    Args:
        threads: Number of hardware threads.
        busy_s: CPU seconds of the whole machine; None where the system does not report them.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        threads: int,
        busy_s: Callable[[], float | None] = machine_busy_s,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threads = threads
        self._busy_s = busy_s
        self._clock = clock
        self.restart()

    def power_w(self) -> float | None:
        """See :class:`~pricetag.metering.host_model.PowerModel`."""
        before_s, began_s = self._before_s, self._began_s
        self.restart()
        elapsed_s = self._began_s - began_s
        if before_s is None or self._before_s is None or elapsed_s <= 0:
            return None
        load = (self._before_s - before_s) / (elapsed_s * self._threads)
        return self._threads * (IDLE_W + (BUSY_W - IDLE_W) * min(max(load, 0.0), 1.0))

    def restart(self) -> None:
        """See :class:`~pricetag.metering.host_model.PowerModel`."""
        self._before_s, self._began_s = self._busy_s(), self._clock()


def thread_model(*, cpu: bool, ram: bool) -> PowerSource:
    """A source of the requested components, ready without CodeCarbon."""
    return HostModelSource(lambda: _parts(cpu=cpu, ram=ram))


def _parts(*, cpu: bool, ram: bool) -> Sequence[Part]:
    threads = os.cpu_count() or 1
    parts: list[Part] = [(cpu_component(threads), ThreadModel(threads))] if cpu else []
    return [*parts, memory_part()] if ram else parts


def cpu_component(threads: int, proc: Path = PROC) -> Component:
    """The modelled CPU as the price tag lists it."""
    return Component(
        id="cpu",
        kind="cpu",
        name=cpu_name(proc) or f"CPU with {threads} threads",
        method="modelled",
        gain_std_ratio=CPU_STD_RATIO,
        power_limit_w=None,
        baseline_w=IDLE_W * threads,
        baseline_note="the model's power at no load",
        notes=f"{threads} threads of a mean server, {IDLE_W:g} W idle to {BUSY_W:g} W busy each "
        "(Cloud Carbon Footprint), scaled by the load of the whole machine",
    )


def cpu_name(proc: Path = PROC) -> str | None:
    """Product name of the processor; None where the system does not report it."""
    try:
        with open(proc / "cpuinfo", encoding="utf-8", errors="replace") as lines:
            names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
            return next(names, None) or None
    except OSError:
        return None
