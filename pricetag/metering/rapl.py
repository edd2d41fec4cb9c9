"""RAPL: the CPU's own energy counters, under Linux's powercap class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pricetag.metering.rapl_zones import RaplScan, Zone, powercap_root, scan
from pricetag.metering.source import Component, ComponentKind, Reading, silent

__all__ = ["RaplScan", "RaplSource", "powercap_root", "scan"]

PACKAGE_GAIN_STD_RATIO = 0.05
AMD_GAIN_STD_RATIO = 0.10
DRAM_GAIN_STD_RATIO = 0.15

MAX_ZONE_POWER_W = 2000.0
"""No zone draws more: a jump that would need it is no wrap-around."""

RESET = "reset"
WRAP_AMBIGUOUS = "wrap_ambiguous"
UNREADABLE = "unreadable"

MIN_POWER_INTERVAL_S = 0.1
"""The counter moves in steps: over less than this their quotient is noise, not power."""

CPUINFO = Path("/proc/cpuinfo")


class _Unwrapped:
    """A zone's counter without its wrap-around, in J."""

    def __init__(self, zone: Zone) -> None:
        self.component_id = f"rapl:{zone.id}"
        self._zone = zone
        self._raw_uj: int | None = None
        self._total_uj = 0
        self._last_s = 0.0
        self._power_w: float | None = None
        self._power_uj = 0
        self._power_since_s = 0.0

    def read(self, now_s: float) -> Reading:
        try:
            raw_uj = self._zone.read_uj()
        except (OSError, ValueError):
            return silent(self.component_id, UNREADABLE)
        flags: list[str] = []
        step_uj = None
        if self._raw_uj is not None:
            step_uj = self._step_uj(raw_uj, self._raw_uj, now_s - self._last_s, flags)
        if step_uj is None:
            self._total_uj, self._power_uj, self._power_since_s = raw_uj, raw_uj, now_s
        else:
            self._total_uj += step_uj
        self._update_power(now_s)
        self._raw_uj, self._last_s = raw_uj, now_s
        return Reading(
            component=self.component_id,
            counter_j=self._total_uj / 1e6,
            integrated_j=None,
            power_w=self._power_w,
            flags=flags,
        )

    def _update_power(self, now_s: float) -> None:
        elapsed_s = now_s - self._power_since_s
        if elapsed_s >= MIN_POWER_INTERVAL_S:
            self._power_w = (self._total_uj - self._power_uj) / 1e6 / elapsed_s
            self._power_uj, self._power_since_s = self._total_uj, now_s

    def _step_uj(
        self, raw_uj: int, before_uj: int, elapsed_s: float, flags: list[str]
    ) -> int | None:
        """What was counted since the last reading; None after a reset, which only falls."""
        range_uj = self._zone.range_uj
        if range_uj is not None and elapsed_s * MAX_ZONE_POWER_W * 1e6 > range_uj:
            flags.append(WRAP_AMBIGUOUS)
        step_uj = raw_uj - before_uj
        if step_uj >= 0:
            return step_uj
        wrapped_uj = step_uj + range_uj if range_uj is not None else -1
        if wrapped_uj < 0 or wrapped_uj > max(elapsed_s, 1.0) * MAX_ZONE_POWER_W * 1e6:
            flags.append(RESET)
            return None
        return wrapped_uj


class RaplSource:
    """Package and DRAM counters, unwrapped.

    Args:
        packages: Zones of the CPU.
        dram: Zones of the memory.
        cpuinfo: Where the CPU's maker is told.
    """

    def __init__(
        self, packages: Sequence[Zone], dram: Sequence[Zone], cpuinfo: Path = CPUINFO
    ) -> None:
        self._zones = [*packages, *dram]
        self._counters = [_Unwrapped(zone) for zone in self._zones]
        self._nothing: tuple[float | None, ...] = (None,) * len(self._zones)
        self._cpuinfo = cpuinfo

    def components(self) -> list[Component]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        maker = cpu_fields(self._cpuinfo)
        return [_component(zone, maker) for zone in self._zones]

    def sample(self, now_s: float) -> Sequence[float | None]:
        """Nothing to integrate: the counter is all there is."""
        return self._nothing

    def read(self, now_s: float) -> list[Reading]:
        """See :class:`~pricetag.metering.source.PowerSource`; power is the mean since the last."""
        return [counter.read(now_s) for counter in self._counters]

    def close(self) -> None:
        """Nothing stays open."""


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
        notes=f"RAPL zone {zone.id}: of the whole machine",
    )


def cpu_fields(cpuinfo: Path) -> dict[str, str]:
    """The first processor's fields in ``/proc/cpuinfo``; empty where the system does not tell."""
    try:
        first = cpuinfo.read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
