"""Plausibility check of a host's counters against the modelled energy of each zone.

Unlike a GPU, a host has no power sensor beside its counter. In virtual machines some counters
never rise, stop, or jump as the guest moves between sockets; without a check such figures would
be trusted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from pricetag.metering import codecarbon_parts
from pricetag.metering.source import PowerSource

logger = logging.getLogger(__name__)

MAX_ZONE_POWER_W = 2000.0
"""No zone draws more: a step that would need more is neither energy nor a wrap-around."""

LEAST_MAX_POWER_W = 300.0
MAX_TDP_RATIO = 10.0
"""With turbo some laptops reach four times their TDP; no package reaches ten times."""


class HostCheck:
    """Modelled energy of package, memory and platform zones.

    Args:
        model: Modelled CPU and memory of the whole machine; None where there is no model.
        packages: Number of CPU zones.
        dram: Number of memory zones.
    """

    def __init__(self, model: PowerSource | None, *, packages: int, dram: int) -> None:
        self._model = model
        self._packages = packages
        self._dram = dram
        self._read_s: float | None = None
        self._energy_j: dict[str, float | None] = {}

    @property
    def has_model(self) -> bool:
        """Whether there is a model."""
        return self._model is not None

    def open(self) -> None:
        """Open the model; without one, only the counters' bounds are checked."""
        if self._model is None:
            return
        try:
            self._model.components()
        except Exception as error:  # metering continues with a broken CodeCarbon
            logger.warning("host counters are not checked against a model: %s", error)
            self._model = None

    def energy_j(self, zone_kind: str, now_s: float) -> float | None:
        """Cumulative modelled energy of one zone, in J; None where there is no model.

        Args:
            zone_kind: ``package``, ``dram`` or ``psys``.
            now_s: Time of the reading; zones that are read together share one evaluation.
        """
        if now_s != self._read_s:
            self._read_s, self._energy_j = now_s, self._look(now_s)
        cpu_j, ram_j = self._energy_j.get("cpu"), self._energy_j.get("ram")
        if zone_kind == "dram":
            return None if ram_j is None else ram_j / self._dram
        if zone_kind == "package":
            return None if cpu_j is None else cpu_j / self._packages
        return None if cpu_j is None or ram_j is None else (cpu_j + ram_j) / self._packages

    def close(self) -> None:
        """Close the model."""
        if self._model is not None:
            self._model.close()

    def _look(self, now_s: float) -> dict[str, float | None]:
        if self._model is None:
            return {}
        try:
            readings = self._model.read(now_s)
        except Exception as error:  # metering continues without the check
            logger.warning("the model that checks the host's counters failed: %s", error)
            self._model = None
            return {}
        return {reading.component: reading.integrated_j for reading in readings}


def max_zone_power_w(
    zones: Sequence[object],
    cpu_model: Callable[[], codecarbon_parts.CpuModel | None] = codecarbon_parts.cpu_model,
) -> float:
    """Maximum power of one zone, in W, from the CPU's design power where that is known.

    Args:
        zones: Number of CPU zones.
        cpu_model: Looks the CPU up.
    """
    cpu = cpu_model() if codecarbon_parts.is_installed() else None
    if cpu is None or not cpu.is_known:
        return MAX_ZONE_POWER_W
    by_design_w = MAX_TDP_RATIO * cpu.tdp_w / max(len(zones), 1)
    return min(MAX_ZONE_POWER_W, max(by_design_w, LEAST_MAX_POWER_W))
