"""RAPL: the CPU's own energy counters, under Linux's powercap class."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from pricetag.accounting.readings.step_energy import (
    COUNTER_FROZEN,
    FROZEN_AFTER_S,
    IMPLAUSIBLE_POWER,
    RESET,
)
from pricetag.metering.host_check import MAX_ZONE_POWER_W, HostCheck, max_zone_power_w
from pricetag.metering.rapl_zones import RaplScan, Zone, powercap_root, scan
from pricetag.metering.source import Component, ComponentKind, PowerSource, Reading

__all__ = ["RaplScan", "RaplSource", "powercap_root", "scan"]

logger = logging.getLogger(__name__)

PACKAGE_GAIN_STD_RATIO = 0.05
AMD_GAIN_STD_RATIO = 0.10
DRAM_GAIN_STD_RATIO = 0.15

LEAST_INTERVAL_S = 1.0
"""Emulated counters are updated once a second: a reading may show energy that old."""

WRAP_AMBIGUOUS = "wrap_ambiguous"
UNREADABLE = "unreadable"

MIN_POWER_INTERVAL_S = 0.1
"""The counter moves in steps: over shorter intervals the quotient is noise, not power."""

CPUINFO = Path("/proc/cpuinfo")


class _Unwrapped:
    """A zone's counter without its wrap-around, in J."""

    def __init__(self, zone: Zone) -> None:
        self.component_id = f"rapl:{zone.id}"
        self.max_power_w = MAX_ZONE_POWER_W
        self.kind = zone.kind
        self._zone = zone
        self._raw_uj: int | None = None
        self._total_uj = 0
        self._last_s = 0.0
        self._moved_s = 0.0
        self._power_w: float | None = None
        self._power_uj = 0
        self._power_since_s = 0.0

    def read(self, now_s: float, modelled_j: float | None) -> Reading:
        """A reading; ``modelled_j`` is the model's energy so far."""
        try:
            raw_uj = self._zone.read_uj()
        except (OSError, ValueError):
            return self._reading(now_s, None, None, modelled_j, [UNREADABLE])
        flags: list[str] = []
        step_uj: int | None = None
        if self._raw_uj is not None:
            step_uj = self._step_uj(raw_uj, self._raw_uj, now_s, flags)
        if step_uj is None:
            self._begin(raw_uj, now_s, flags)
        else:
            self._total_uj += step_uj
        if raw_uj != self._raw_uj:
            self._update_power(now_s)
            self._moved_s = now_s
        elif now_s - self._moved_s >= FROZEN_AFTER_S:
            self._power_w = None  # neither a processor nor a memory draws zero power
            flags.append(COUNTER_FROZEN)
        self._raw_uj, self._last_s = raw_uj, now_s
        return self._reading(now_s, self._total_uj / 1e6, self._power_w, modelled_j, flags)

    def _begin(self, raw_uj: int, now_s: float, flags: list[str]) -> None:
        """Continue counting from here: at the first reading, and after an implausible step."""
        if IMPLAUSIBLE_POWER not in flags:
            self._total_uj = raw_uj
        self._power_w, self._power_uj, self._power_since_s = None, self._total_uj, now_s

    def _reading(
        self,
        now_s: float,
        counter_j: float | None,
        power_w: float | None,
        modelled_j: float | None,
        flags: list[str],
    ) -> Reading:
        return Reading(
            t_s=now_s,
            counter_j=counter_j,
            integrated_j=modelled_j,
            power_w=power_w,
            flags=tuple(flags),
            component=self.component_id,
        )

    def _update_power(self, now_s: float) -> None:
        """Mean power since it was last computed; called when the counter has moved."""
        elapsed_s = now_s - self._power_since_s
        if elapsed_s >= MIN_POWER_INTERVAL_S:
            self._power_w = (self._total_uj - self._power_uj) / 1e6 / elapsed_s
            self._power_uj, self._power_since_s = self._total_uj, now_s

    def _step_uj(self, raw_uj: int, before_uj: int, now_s: float, flags: list[str]) -> int | None:
        """Counted energy since the last reading; None where it is implausible."""
        range_uj = self._zone.range_uj
        if range_uj is not None and (now_s - self._last_s) * MAX_ZONE_POWER_W * 1e6 > range_uj:
            flags.append(WRAP_AMBIGUOUS)
        # A counter that stalled may catch up for all of that time.
        most_uj = max(now_s - self._moved_s, LEAST_INTERVAL_S) * self.max_power_w * 1e6
        step_uj = raw_uj - before_uj
        if step_uj < 0:
            step_uj += range_uj or 0
            if not 0 <= step_uj <= most_uj:
                flags.append(RESET)
                return None
        if step_uj > most_uj:
            flags.append(IMPLAUSIBLE_POWER)
            return None
        return step_uj


class RaplSource:
    """Package and DRAM counters, unwrapped.

    Args:
        packages: Zones of the CPU.
        dram: Zones of the memory.
        cpuinfo: File that states the CPU's vendor.
        model: Modelled CPU and memory to check the counters against; None for no check.
    """

    def __init__(
        self,
        packages: Sequence[Zone],
        dram: Sequence[Zone],
        cpuinfo: Path = CPUINFO,
        model: PowerSource | None = None,
    ) -> None:
        self._packages = packages
        self._check = HostCheck(model, packages=len(packages), dram=len(dram))
        self._is_open = False
        self._zones = [*packages, *dram]
        self._counters = [_Unwrapped(zone) for zone in self._zones]
        self._nothing: tuple[float | None, ...] = (None,) * len(self._zones)
        self._cpuinfo = cpuinfo

    def components(self) -> list[Component]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        if not self._is_open:
            self._is_open = True
            self._check.open()
            if self._check.has_model:
                self._bound()
        maker = cpu_fields(self._cpuinfo)
        return [_component(zone, maker) for zone in self._zones]

    def sample(self, now_s: float) -> Sequence[float | None]:
        """Nothing to integrate: there is only the counter."""
        return self._nothing

    def read(self, now_s: float) -> list[Reading]:
        """See :class:`~pricetag.metering.source.PowerSource`; power is the mean since the last."""
        return [
            counter.read(now_s, self._check.energy_j(counter.kind, now_s))
            for counter in self._counters
        ]

    def close(self) -> None:
        """Close the model."""
        self._check.close()

    def _bound(self) -> None:
        """Bound the packages' power by the CPU's design power."""
        try:
            most_w = max_zone_power_w(self._packages)
        except Exception as error:  # metering does not depend on CodeCarbon's tables
            logger.warning("the CPU's design power is unknown: %s", error)
            return
        for counter in self._counters:
            if counter.kind == "package":
                counter.max_power_w = most_w


def _component(zone: Zone, cpu: dict[str, str]) -> Component:
    is_amd = cpu.get("vendor_id") == "AuthenticAMD"
    package_gain = AMD_GAIN_STD_RATIO if is_amd else PACKAGE_GAIN_STD_RATIO
    model = cpu.get("model name", "CPU")
    kind: ComponentKind = "ram" if zone.kind == "dram" else "cpu"
    if zone.kind == "psys":
        kind = "host"
    return Component(
        id=f"rapl:{zone.id}",
        kind=kind,
        name="DRAM" if zone.kind == "dram" else model,
        method="counter",
        gain_std_ratio=DRAM_GAIN_STD_RATIO if zone.kind == "dram" else package_gain,
        power_limit_w=None,
        notes=f"RAPL zone {zone.id}, measured for the whole machine",
        has_model=True,
    )


def cpu_fields(cpuinfo: Path) -> dict[str, str]:
    """The first processor's fields in ``/proc/cpuinfo``; empty where not reported."""
    try:
        first = cpuinfo.read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
