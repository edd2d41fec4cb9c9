"""The meters of this machine; for missing ones the reason, and a command that may help."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pricetag.metering import codecarbon_parts, host_choice
from pricetag.metering.amd_devices import probe_amd
from pricetag.metering.host_model import cpu_component
from pricetag.metering.nvml_devices import Device, probe
from pricetag.metering.nvml_errors import Unavailability
from pricetag.metering.rapl import CPUINFO, cpu_fields
from pricetag.metering.rapl_zones import LOAD_COMMAND, RaplScan, Zone, powercap_root, scan

PCI_DEVICES = Path("/sys/bus/pci/devices")
NVIDIA_VENDOR = "0x10de"
AMD_VENDOR = "0x1002"

ACCELERATOR_CLASSES = ("0x03", "0x12")
"""PCI classes of displays and of processing accelerators: a card also has other functions."""


RAPL_MAKERS = ("GenuineIntel", "AuthenticAMD", "HygonGenuine")


@dataclass(frozen=True, slots=True)
class MeterStatus:
    """One meter.

    Attributes:
        name: ``nvml``, ``amdsmi``, ``rapl-package``, ``rapl-dram``, ``host-model``,
            ``codecarbon``.
        available: Whether it can be used now.
        detail: What it meters here, or why it cannot.
        command: The command that may make it available; None where it is, or none can.
    """

    name: str
    available: bool
    detail: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """The machine.

    Attributes:
        memory_bytes: Size of the memory in bytes; None where the system does not report it.
    """

    name: str
    system: str
    python: str
    cpu: str
    cores: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything that was examined.

    Attributes:
        host_meter: Host meter chosen by ``PRICETAG_METER_HOST``.
        visible_devices: Value of ``CUDA_VISIBLE_DEVICES``, None where it is not set.
    """

    host: Host
    meters: tuple[MeterStatus, ...]
    devices: tuple[Device, ...]
    host_meter: str
    visible_devices: str | None

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)


def examine(environ: Mapping[str, str] | None = None) -> DoctorReport:
    """Examine every meter; takes a second or two where CodeCarbon must be loaded.

    Args:
        environ: Used instead of the process's environment.

    Raises:
        MeterSettingError: If ``PRICETAG_METER_HOST`` has an invalid value.
    """
    environ = os.environ if environ is None else environ
    devices, why_no_nvml = probe()
    amd, why_no_amd = probe_amd()
    rapl = scan(powercap_root(environ))
    meters = (
        _nvml(devices, why_no_nvml),
        _amd(amd, why_no_amd),
        _rapl("rapl-package", rapl.packages, rapl.reason, rapl),
        _rapl("rapl-dram", rapl.dram, rapl.dram_reason, rapl),
        _host_model(),
        _codecarbon(),
    )
    return DoctorReport(
        host=_host(),
        meters=meters,
        devices=(*devices, *amd),
        host_meter=host_choice(environ),
        visible_devices=environ.get("CUDA_VISIBLE_DEVICES"),
    )


def _nvml(devices: Sequence[Device], why: Unavailability | None) -> MeterStatus:
    if why is not None and not _has_hardware(PCI_DEVICES, NVIDIA_VENDOR):
        return MeterStatus("nvml", False, "this machine has no NVIDIA device on its PCI bus")
    if why is not None:
        return MeterStatus("nvml", False, why.reason, why.command)
    if not devices:
        return MeterStatus("nvml", False, "the driver reports no device", "nvidia-smi")
    names = sorted({device.name for device in devices})
    return MeterStatus("nvml", True, _devices_text(len(devices), names))


def _amd(devices: Sequence[Device], why: Unavailability | None) -> MeterStatus:
    if not devices and not _has_hardware(PCI_DEVICES, AMD_VENDOR):
        return MeterStatus("amdsmi", False, "this machine has no AMD accelerator on its PCI bus")
    if why is not None:
        return MeterStatus("amdsmi", False, why.reason, why.command)
    if not devices:
        return MeterStatus("amdsmi", False, "the driver reports no device", "amd-smi")
    names = sorted({device.name for device in devices})
    return MeterStatus(
        "amdsmi",
        True,
        _devices_text(len(devices), names),
    )


def _has_hardware(pci_devices: Path, vendor: str) -> bool:
    """Whether the PCI bus has a matching card; True where the bus is not visible."""
    folders = [path for path in pci_devices.glob("*") if (path / "vendor").is_file()]
    if not folders:
        return True
    return any(_is_accelerator(folder, vendor) for folder in folders)


def _is_accelerator(folder: Path, vendor: str) -> bool:
    if (folder / "vendor").read_text().strip() != vendor:
        return False
    kind = folder / "class"
    return not kind.is_file() or kind.read_text().strip().startswith(ACCELERATOR_CLASSES)


def _rapl(name: str, zones: Sequence[Zone], reason: str | None, scanned: RaplScan) -> MeterStatus:
    if reason is None:
        return MeterStatus(name, True, f"zones: {', '.join(zone.id for zone in zones)}")
    closed = scanned.command if "has no" not in reason else None
    if closed == LOAD_COMMAND and (why := _never_has_rapl()) is not None:
        return MeterStatus(name, False, f"{reason.partition(':')[0]}: {why}")
    return MeterStatus(name, False, reason, closed)


def _never_has_rapl() -> str | None:
    """Why no driver can find RAPL counters here; None where one might."""
    cpu = cpu_fields(CPUINFO)
    if "hypervisor" in cpu.get("flags", "").split():
        return "this is a virtual machine; the counters belong to its host"
    if cpu and cpu.get("vendor_id") not in RAPL_MAKERS:
        return "this CPU has none"
    return None


def _host_model() -> MeterStatus:
    if not codecarbon_parts.is_installed():
        missing = f"{codecarbon_parts.MISSING}, which supplies the model"
        return MeterStatus("host-model", False, missing, codecarbon_parts.INSTALL_COMMAND)
    cpu = codecarbon_parts.cpu_model()
    if cpu is None:
        return MeterStatus("host-model", False, "CodeCarbon cannot identify this CPU")
    return MeterStatus("host-model", True, f"{cpu.name}: {cpu_component(cpu).notes}")


def _codecarbon() -> MeterStatus:
    if not codecarbon_parts.is_installed():
        command = codecarbon_parts.INSTALL_COMMAND
        return MeterStatus("codecarbon", False, codecarbon_parts.MISSING, command)
    version = codecarbon_parts.installed_version()
    return MeterStatus("codecarbon", True, f"version {version}, as second opinion")


def _host() -> Host:
    return Host(
        name=platform.node(),
        system=platform.platform(),
        python=platform.python_version(),
        cpu=cpu_fields(CPUINFO).get("model name") or platform.machine(),
        cores=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(Path("/proc/meminfo")),
    )


def _devices_text(count: int, names: Sequence[str]) -> str:
    return f"{count} device{'' if count == 1 else 's'}: {', '.join(names)}"


def _memory_bytes(meminfo: Path) -> int | None:
    try:
        first = meminfo.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    words = first.split()
    return int(words[1]) * 1024 if words[:1] == ["MemTotal:"] else None
