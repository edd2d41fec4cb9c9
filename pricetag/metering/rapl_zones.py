"""The RAPL zones of a machine, each counted once."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

logger = logging.getLogger(__name__)

DEFAULT_ROOT = Path("/sys/class/powercap")
ROOT_VARIABLE = "PRICETAG_POWERCAP_ROOT"

OPEN_COMMAND = "sudo chmod a+r /sys/class/powercap/intel-rapl*/energy_uj"
LOAD_COMMAND = "sudo modprobe intel_rapl_msr"

MIRROR_TOLERANCE_UJ = 1_000_000
"""Counters of different dies whose totals agree within 1 J are the same counter."""

_ZONE_FOLDER = re.compile(r"intel-rapl(-mmio)?(:\d+)+")

ZoneKind = Literal["package", "dram", "psys", "inner"]


@dataclass(frozen=True, slots=True)
class Zone:
    """One RAPL zone.

    Attributes:
        id: Name that is unique on this machine, for example ``package-0-dram``.
        kind: ``inner`` zones (core, uncore) are part of their package; psys holds all packages.
        folder: Folder of its files.
        range_uj: Value at which its counter wraps, in µJ; None when not stated.
    """

    id: str
    kind: ZoneKind
    folder: Path
    range_uj: int | None

    def read_uj(self) -> int:
        """The counter, in µJ.

        Raises:
            OSError: If it cannot be read (since CVE-2020-8694, only root can).
        """
        return int((self.folder / "energy_uj").read_text())


@dataclass(frozen=True, slots=True)
class RaplScan:
    """What RAPL offers here.

    Attributes:
        packages: Zones to meter for the CPU; psys alone where there are no packages.
        dram: Zones to meter for the memory.
        reason: Why there are no packages, None when there are.
        dram_reason: Why there is no DRAM zone, None when there is.
        command: The command that may make it readable.
    """

    packages: tuple[Zone, ...]
    dram: tuple[Zone, ...]
    reason: str | None
    dram_reason: str | None
    command: str | None


def powercap_root(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of the powercap class, which an environment variable can override."""
    root = (os.environ if environ is None else environ).get(ROOT_VARIABLE)
    return Path(root) if root else DEFAULT_ROOT


def scan(root: Path) -> RaplScan:
    """Find the zones that together cover the CPU and the memory exactly once."""
    zones = _prefer_msr(_find(root))
    if not zones:
        missing = f"no RAPL zones under {root}: not a bare Intel or AMD machine, or no driver"
        return RaplScan((), (), missing, missing, LOAD_COMMAND)
    outer = [zone for zone in zones if zone.kind == "package"]
    outer = outer or [zone for zone in zones if zone.kind == "psys"]
    packages, reason = _readable(outer, "package")
    dram, dram_reason = _readable([zone for zone in zones if zone.kind == "dram"], "DRAM")
    closed = any("permission" in why for why in (reason, dram_reason) if why)
    return RaplScan(packages, dram, reason, dram_reason, OPEN_COMMAND if closed else None)


def _find(root: Path) -> list[Zone]:
    """Every zone, whether its subzones are nested or flat, as in the class folder."""
    folders = {
        path.name: path
        for pattern in ("intel-rapl*:*", "intel-rapl*:*/intel-rapl*:*")
        for path in sorted(root.glob(pattern))
        if _ZONE_FOLDER.fullmatch(path.name) and (path / "name").is_file()
    }
    names = {folder: (path / "name").read_text().strip() for folder, path in folders.items()}
    return [
        Zone(_zone_id(folder, names), _kind(names[folder]), folders[folder], _range_uj(path))
        for folder, path in sorted(folders.items())
    ]


def _zone_id(folder: str, names: Mapping[str, str]) -> str:
    """A subzone's name includes its parent: every package calls its memory just ``dram``."""
    parent = folder.rpartition(":")[0]
    return f"{names[parent]}-{names[folder]}" if parent in names else names[folder]


def _kind(name: str) -> ZoneKind:
    if name.startswith("package"):
        return "package"
    if name == "dram":
        return "dram"
    return "psys" if name.startswith("psys") else "inner"  # one per socket: psys, psys-1


def _range_uj(folder: Path) -> int | None:
    try:
        range_uj = int((folder / "max_energy_range_uj").read_text())
    except (OSError, ValueError) as error:
        logger.warning(
            "%s: the value at which the counter wraps is unknown: %s", folder.name, error
        )
        return None
    return range_uj if range_uj > 0 else None


def _prefer_msr(zones: Sequence[Zone]) -> list[Zone]:
    """One zone per name: the MMIO interface repeats the zones of the MSR interface."""
    by_id: dict[str, Zone] = {}
    for zone in sorted(zones, key=lambda zone: "mmio" in zone.folder.name):
        by_id.setdefault(zone.id, zone)
    return sorted(by_id.values(), key=lambda zone: zone.id)


def _readable(zones: Sequence[Zone], zone_kind: str) -> tuple[tuple[Zone, ...], str | None]:
    """The zones without mirrors, or none and the reason: part of a machine is not its energy."""
    if not zones:
        return (), f"this machine has no {zone_kind} zone"
    values_uj: dict[str, int] = {}
    for zone in zones:
        try:
            values_uj[zone.id] = zone.read_uj()
        except PermissionError:
            return (), f"no permission to read {zone.folder / 'energy_uj'}"
        except (OSError, ValueError) as error:
            return (), f"cannot read {zone.folder / 'energy_uj'}: {error}"
        if values_uj[zone.id] == 0:  # as in virtual machines, whose counters never start
            return (), f"the counter {zone.folder / 'energy_uj'} is at 0: it does not count"
    return tuple(_without_mirrors(zones, values_uj)), None


def _without_mirrors(zones: Sequence[Zone], values_uj: Mapping[str, int]) -> list[Zone]:
    distinct: list[Zone] = []
    for zone in zones:
        value_uj = values_uj[zone.id]
        twin = next(
            (z for z in distinct if value_uj > 0 and _are_near(values_uj[z.id], value_uj)), None
        )
        if twin is None:
            distinct.append(zone)
        else:
            logger.info("RAPL zone %s mirrors %s and is not counted", zone.id, twin.id)
    return distinct


def _are_near(first_uj: int, second_uj: int) -> bool:
    return abs(first_uj - second_uj) <= MIRROR_TOLERANCE_UJ
