"""The AMD devices of this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pricetag.metering.amd_library import (
    AmdUnavailableError,
    close_library,
    is_installed,
    number,
    open_library,
)
from pricetag.metering.amd_names import AMD_PREFIX
from pricetag.metering.nvml_devices import Device
from pricetag.metering.nvml_errors import Unavailability

logger = logging.getLogger(__name__)

MICROWATTS_FROM = 100_000.0
"""ROCm 6 reports power caps in µW, earlier releases in W; no card draws 100 kW."""


@contextmanager
def amd_session() -> Iterator[Any]:
    """The library, open within a ``with`` block.

    Raises:
        AmdUnavailableError: If it cannot be used.
    """
    library = open_library()
    try:
        yield library
    finally:
        close_library(library)


def list_amd_devices() -> list[Device]:
    """The AMD devices of this machine, in AMD SMI's order; none where it is not installed.

    Raises:
        AmdUnavailableError: If it is installed and cannot be used.
    """
    if not is_installed():
        return []
    with amd_session() as library:
        return [_device(library, handle, index) for index, handle in enumerate(handles(library))]


def probe_amd() -> tuple[list[Device], Unavailability | None]:
    """The devices, or why AMD's library cannot be used."""
    try:
        with amd_session() as library:
            indexed_handles = enumerate(handles(library))
            return [_device(library, handle, index) for index, handle in indexed_handles], None
    except AmdUnavailableError as error:
        return [], error.unavailability


def handles(library: Any) -> list[Any]:
    """Handles of the devices; an open library is needed.

    Raises:
        AmdUnavailableError: If the library cannot list them.
    """
    try:
        return list(library.amdsmi_get_processor_handles())
    except library.AmdSmiException as error:
        why = Unavailability(f"AMD SMI cannot list its devices: {error}", "amd-smi list")
        raise AmdUnavailableError(why) from error


def uuid_of(library: Any, handle: Any) -> str:
    """A device's UUID; where the driver reports none, its PCI bus address is used."""
    uuid = ask(library, "amdsmi_get_gpu_device_uuid", handle)
    if not isinstance(uuid, str) or not uuid.strip("0-") or uuid == "N/A":
        uuid = str(ask(library, "amdsmi_get_gpu_device_bdf", handle))
    return AMD_PREFIX + uuid.removeprefix("GPU-")


def name_of(library: Any, handle: Any) -> str:
    """Product name."""
    asic_info = ask(library, "amdsmi_get_gpu_asic_info", handle) or {}
    name = asic_info.get("market_name")
    return str(name) if name and name != "N/A" else "AMD GPU"


def power_cap_w(library: Any, handle: Any) -> float | None:
    """The power cap in W; None where the device reports none."""
    cap_info = ask(library, "amdsmi_get_power_cap_info", handle) or {}
    cap = number(cap_info.get("power_cap"))
    if not cap:
        return None
    return cap / 1e6 if cap >= MICROWATTS_FROM else cap


def ask(library: Any, function: str, handle: Any) -> Any:
    """A function's result for a device; None where the function or the device fails."""
    try:
        return getattr(library, function)(handle)
    except (AttributeError, library.AmdSmiException) as error:
        logger.info("%s: %s", function, error)
        return None


def _device(library: Any, handle: Any, index: int) -> Device:
    usage = ask(library, "amdsmi_get_gpu_vram_usage", handle) or {}
    memory_mb = number(usage.get("vram_total"))
    numbers = ask(library, "amdsmi_get_gpu_enumeration_info", handle) or {}
    hip_uuid = numbers.get("hip_uuid")
    is_told = isinstance(hip_uuid, str) and hip_uuid.startswith("GPU-")
    return Device(
        uuid=uuid_of(library, handle),
        index=index,
        name=name_of(library, handle),
        memory_bytes=int(memory_mb) << 20 if memory_mb else None,
        power_limit_w=power_cap_w(library, handle),
        runtime_id=str(hip_uuid) if is_told else str(index),
    )
