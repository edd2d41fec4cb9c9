"""The NVIDIA devices of this machine, and which of them a job may see."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pynvml

from pricetag.metering.nvml_errors import (
    NOT_INSTALLED,
    NvmlUnavailableError,
    Unavailability,
    unavailability,
)

logger = logging.getLogger(__name__)

GPU_PREFIX = "GPU-"
MIG_PREFIX = "MIG-"


@dataclass(frozen=True, slots=True)
class Slice:
    """A MIG device: a part of a device that jobs use like a whole one.

    Attributes:
        uuid: ``MIG-...``, the name by which CUDA shows it to a job.
        parent: UUID of the whole device, whose counter and power it shares.
        profile: NVIDIA's profile name, ``3g.20gb``.
        instance: Id of its GPU instance.
        slices: Number of compute slices it reserves.
        of: Number of compute slices of the whole device.
        is_whole_instance: Whether it has the GPU instance to itself: activity is per instance.
        memory_bytes: Memory size; None where NVML does not report it.
    """

    uuid: str
    parent: str
    profile: str
    instance: int
    slices: int
    of: int
    is_whole_instance: bool
    memory_bytes: int | None

    @property
    def ratio(self) -> float:
        """Share of the whole device that it reserves."""
        return self.slices / self.of


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator.

    Attributes:
        uuid: ``GPU-...`` (``AMD-...``): the only name that is the same for NVML, CUDA and the
            next boot.
        index: NVML's index (PCI bus order), which need not be CUDA's; AMD's count on from there.
        name: Product name.
        memory_bytes: Size of its memory, None where the device shares the host's.
        power_limit_w: Enforced power limit in W, None where it reports none.
        mig: UUIDs of its MIG slices; empty where MIG is off.
        slice: The MIG slice, where this device is one.
        runtime_id: Identifier in ROCm's ``ROCR_VISIBLE_DEVICES``; None on NVIDIA.
    """

    uuid: str
    index: int
    name: str
    memory_bytes: int | None
    power_limit_w: float | None
    mig: tuple[str, ...] = ()
    slice: Slice | None = None
    runtime_id: str | None = None


@contextmanager
def nvml_session() -> Iterator[None]:
    """NVML, initialized within a ``with`` block.

    Raises:
        pynvml.NVMLError: If NVML cannot be initialized.
    """
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def list_devices() -> list[Device]:
    """The devices of this machine, in NVML's order; none where there is no NVIDIA driver.

    Raises:
        NvmlUnavailableError: If there is a driver and it cannot be used.
    """
    devices, why, code = _probe()
    if why is not None and code not in NOT_INSTALLED:
        raise NvmlUnavailableError(why)
    if why is not None:
        logger.info("no NVIDIA devices: %s", why.reason)
    return devices


def probe() -> tuple[list[Device], Unavailability | None]:
    """The devices, or why NVML cannot be used."""
    devices, why, _ = _probe()
    return devices, why


def _probe() -> tuple[list[Device], Unavailability | None, int]:
    try:
        with nvml_session():
            count = pynvml.nvmlDeviceGetCount()
            probed = [_device(index) for index in range(count)]
            return [device for device in probed if device is not None], None, 0
    except pynvml.NVMLError as error:
        return [], unavailability(error.value), error.value


def _device(index: int) -> Device | None:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return Device(
            uuid=pynvml.nvmlDeviceGetUUID(handle),
            index=index,
            name=pynvml.nvmlDeviceGetName(handle),
            memory_bytes=_memory_bytes(handle),
            power_limit_w=power_limit_w(handle),
            mig=_mig_uuids(handle),
        )
    except pynvml.NVMLError as error:
        # A dead card must not hide the healthy ones.
        logger.warning("NVIDIA device %d cannot be used: %s", index, error)
        return None


def _memory_bytes(handle: Any) -> int | None:
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError_NotSupported:
        return None


def power_limit_w(handle: Any) -> float | None:
    """Enforced power limit in W; None where the device reports none."""
    try:
        return float(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)) / 1000.0
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission):
        return None


def _mig_uuids(handle: Any) -> tuple[str, ...]:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
        slots = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) if current else 0
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return ()
    uuids = []
    for slot in range(slots):
        try:
            slice_handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot)
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
            continue  # an empty slot
        uuids.append(pynvml.nvmlDeviceGetUUID(slice_handle))
    return tuple(uuids)


def resolve_visible(visible: str | None, devices: Sequence[Device]) -> list[str]:
    """UUIDs that a value of ``CUDA_VISIBLE_DEVICES`` makes visible, in its order.

    As CUDA does, the list is read up to its first invalid entry: an index out of range, ``-1``,
    a UUID that is unknown, ambiguous or repeated. Indices are taken in the order of
    ``devices`` (PCI bus order: set ``CUDA_DEVICE_ORDER=PCI_BUS_ID`` beside it).

    Args:
        visible: The variable's value; None when it is not set, which means all devices.
        devices: What :func:`list_devices` returned.
    """
    if visible is None:
        return [device.uuid for device in devices]
    visible_uuids: list[str] = []
    for entry in visible.split(","):
        uuid = _resolve(entry.strip(), devices)
        if uuid is None or uuid in visible_uuids:
            break
        visible_uuids.append(uuid)
    return visible_uuids


def _resolve(entry: str, devices: Sequence[Device]) -> str | None:
    if entry.isascii() and entry.isdigit():
        index = int(entry)
        return devices[index].uuid if index < len(devices) else None
    if entry.startswith(MIG_PREFIX):
        return _unique([uuid for device in devices for uuid in device.mig], entry)
    if entry.startswith((GPU_PREFIX, "AMD-")):
        return _unique([device.uuid for device in devices], entry)
    return None


def _unique(uuids: Sequence[str], prefix: str) -> str | None:
    """The only UUID with this prefix, ignoring case; None if there is none or several."""
    matching = [uuid for uuid in uuids if uuid.lower().startswith(prefix.lower())]
    return matching[0] if len(matching) == 1 else None
