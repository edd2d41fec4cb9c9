"""Repeats work that is too short to meter, and returns the energy of one call.

A GPU's energy counter is updated about every 0.1 s, so that one call of a few milliseconds
cannot be metered. Repeated for several seconds and divided by the number of calls, it can.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.window import WindowEnergy
from pricetag.events import LOCAL_VAR
from pricetag.script import log, progress, stage

if TYPE_CHECKING:
    from pricetag.metering.source import Component

MIN_S = 5.0
"""Two edges of a window of 5 s are at most 0.8% of it (u / (√6 T)), before they are aligned."""

REPORT_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Repeated:
    """Time and energy of repeated calls.

    Attributes:
        calls: Number of calls, excluding warm-up.
        duration_s: Duration of the calls, in s.
        energy_j: Energy of the metered components; None when none could be metered.
        components: Energy by component, as a window of its meter.
        missing: Components without energy, with the reason.
    """

    calls: int
    duration_s: float
    energy_j: float | None
    components: Mapping[str, WindowEnergy] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def seconds_per_call(self) -> float:
        """Mean time of one call, in s."""
        return self.duration_s / self.calls

    @property
    def energy_per_call_j(self) -> float | None:
        """Mean energy of one call, in J; None when it could not be metered."""
        return None if self.energy_j is None else self.energy_j / self.calls


def _one_of(
    synchronize: Callable[[], object] | None, synchronise: Callable[[], object] | None
) -> Callable[[], object] | None:
    """The argument under its present or its former name."""
    if synchronise is None:
        return synchronize
    if synchronize is not None:
        raise TypeError("repeat() got both names of `synchronize`; omit `synchronise`")
    warnings.warn(
        "`synchronise` is deprecated; use synchronize",
        DeprecationWarning,
        stacklevel=3,
    )
    return synchronise


def repeat(
    call: Callable[[], object],
    *,
    min_s: float = MIN_S,
    warm_up: int = 1,
    synchronize: Callable[[], object] | None = None,
    name: str = "repeated",
    include_host: bool = True,
    synchronise: Callable[[], object] | None = None,
) -> Repeated:
    """Call until ``min_s`` have passed and meter it: ``pricetag.repeat(lambda: model(batch))``.

    Meters the accelerators that this process may see, and the host. Inside a metered run the
    calls are their own stage as well, with a figure ``calls``.

    Args:
        call: The work; called at least once.
        min_s: Minimum duration, in s; 5 to 10 for a GPU.
        warm_up: Number of unmetered calls before.
        synchronize: Waits for work that ``call`` queues
            (``torch.cuda.synchronize``); called before each edge.
        name: Name of the stage.
        include_host: Whether CPU and memory are metered too.
        synchronise: Former name of ``synchronize``; deprecated.

    Returns:
        The calls with their energy.

    Raises:
        ValueError: If ``min_s`` is not above 0 or ``warm_up`` is below 0.
        TypeError: If both ``synchronize`` and ``synchronise`` are passed.
        NvmlUnavailableError: If there is an NVIDIA driver and it cannot be used.
        AmdUnavailableError: If ``amdsmi`` is installed and cannot be used.

    Source:
        Repetition of short work for a known time: Yang et al. 2024, SC24, arXiv:2312.02741.
    """
    if not (math.isfinite(min_s) and min_s > 0):
        raise ValueError(f"min_s must be above 0 s, not {min_s!r}")
    if warm_up < 0:
        raise ValueError(f"warm_up must be 0 or more, not {warm_up}")
    wait = _one_of(synchronize, synchronise) or _nothing
    for _ in range(warm_up):
        call()
    wait()
    meter = _OwnMeter(include_host)
    try:
        with stage(name, kind="repeat"):
            start_s = meter.edge_s()
            calls, duration_s = repeat_for(call, min_s, _progress_reporter(min_s), wait)
            end_s = meter.edge_s()
            log(calls=float(calls))
    finally:
        meter.close()
    windows, missing = meter.windows(start_s, end_s)
    energies_j = [window.energy_j for window in windows.values() if window.energy_j is not None]
    return Repeated(calls, duration_s, sum(energies_j) if energies_j else None, windows, missing)


def repeat_for(
    call: Callable[[], object],
    min_s: float,
    report: Callable[[int, float], object],
    wait: Callable[[], object] | None = None,
) -> tuple[int, float]:
    """Call for at least ``min_s``; the calls, and the seconds that they took.

    Args:
        call: The work.
        min_s: Minimum duration, in s.
        report: Called about once a second with the number of calls and the seconds elapsed.
        wait: Called at the end; its duration counts.
    """
    calls = 0
    began_s = reported_s = time.perf_counter()
    while calls == 0 or time.perf_counter() - began_s < min_s:
        call()
        calls += 1
        now_s = time.perf_counter()
        if now_s - reported_s >= REPORT_EVERY_S:
            reported_s = now_s
            report(calls, now_s - began_s)
    if wait is not None:
        wait()
    return calls, time.perf_counter() - began_s


def _nothing() -> None:
    """Does nothing, for work that is complete when it returns."""


def _progress_reporter(min_s: float) -> Callable[[int, float], None]:
    return lambda calls, elapsed_s: progress(min(elapsed_s, min_s), min_s, "s")


class _OwnMeter:
    """This process's own meter, opened on creation."""

    def __init__(self, include_host: bool) -> None:
        # Imported here, so that scripts that repeat nothing do not wait for the meters.
        from pricetag.metering import open_sources
        from pricetag.metering.devices import list_accelerators, visible_accelerators
        from pricetag.metering.host_model import host_model
        from pricetag.metering.meter import Meter
        from pricetag.metering.thread_model import thread_model

        # The same model as that of the price tag, so that its figures are those of the stage.
        model = thread_model if os.environ.get(LOCAL_VAR) else host_model
        visible = visible_accelerators(os.environ, list_accelerators())
        self._readings: list[Reading] = []
        sources = open_sources(visible, include_host, model=model)
        self._meter = Meter(sources, self._readings.extend)
        self._components = self._meter.open()

    def edge_s(self) -> float:
        readings = self._meter.edge()
        return readings[0].t_s if readings else self._meter.now_s()

    def close(self) -> None:
        self._meter.close()

    def windows(
        self, start_s: float, end_s: float
    ) -> tuple[dict[str, WindowEnergy], tuple[str, ...]]:
        """Every component's window, and the missing components."""
        window_by_id = {
            component.id: self._window(component, start_s, end_s) for component in self._components
        }
        missing = [
            f"{component.id}: {component.notes or window_by_id[component.id].reason}"
            for component in self._components
            if window_by_id[component.id].energy_j is None
        ]
        return window_by_id, tuple(
            missing or ([] if window_by_id else ["there is no meter on this machine"])
        )

    def _window(self, component: Component, start_s: float, end_s: float) -> WindowEnergy:
        readings = [reading for reading in self._readings if reading.component == component.id]
        return EnergyLedger.of(component, readings).window(start_s, end_s)
