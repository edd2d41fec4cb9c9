"""MIG: slices of a device that jobs use like whole devices."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pynvml

from pricetag.metering.nvml_devices import Device, Slice, nvml_session

logger = logging.getLogger(__name__)


def slices_of(parent: str) -> list[Slice]:
    """The MIG slices of a device, in NVML's order; none where MIG is off.

    Raises:
        pynvml.NVMLError: If NVML or the device cannot be used.
    """
    with nvml_session():
        handle = pynvml.nvmlDeviceGetHandleByUUID(parent)
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) if current else 0
        pieces = [_slice(parent, handle, index, count) for index in range(count)]
    valid = [piece for piece in pieces if piece is not None]
    instances = Counter(piece.instance for piece, _ in valid)
    return [
        _reserved(piece, instance_slices, instances[piece.instance] == 1)
        for piece, instance_slices in valid
    ]


def usable_devices(devices: Sequence[Device]) -> list[Device]:
    """Devices available to jobs: whole devices, and the slices of divided ones.

    CUDA does not compute on a whole device whose MIG mode is on.

    Args:
        devices: What :func:`~pricetag.metering.nvml_devices.list_devices` returned.
    """
    usable: list[Device] = []
    for device in devices:
        if not device.mig:
            usable.append(device)
            continue
        try:
            usable += [_as_device(device, piece) for piece in slices_of(device.uuid)]
        except pynvml.NVMLError as error:
            logger.warning("the MIG slices of %s cannot be used: %s", device.uuid, error)
    return usable


def resolve_usable(named: Sequence[str], usable: Sequence[Device]) -> list[Device]:
    """The usable devices with these UUIDs; a divided device stands for all its slices.

    Args:
        named: UUIDs of whole devices or of slices.
        usable: What :func:`usable_devices` returned.
    """
    resolved: dict[str, Device] = {}
    for uuid in named:
        for device in usable:
            if uuid in (device.uuid, device.slice.parent if device.slice else None):
                resolved[device.uuid] = device
    return list(resolved.values())


def divided_name(name: str, slices: Sequence[Slice]) -> str:
    """A device's product name with its selected slices: ``NVIDIA A100 (MIG 3g.20gb)``."""
    return f"{name} (MIG {' + '.join(piece.profile for piece in slices)})"


def _slice(parent: str, handle: Any, index: int, count: int) -> tuple[Slice, int] | None:
    """One slice by its compute instance, and the slices of its GPU instance."""
    try:
        piece = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
    except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
        return None  # an empty slot
    attributes = pynvml.nvmlDeviceGetAttributes(piece)
    instance_slices, own = (
        int(attributes.gpuInstanceSliceCount),
        int(attributes.computeInstanceSliceCount),
    )
    memory_bytes = int(attributes.memorySizeMB) << 20
    mig_slice = Slice(
        uuid=pynvml.nvmlDeviceGetUUID(piece),
        parent=parent,
        profile=_profile(pynvml.nvmlDeviceGetName(piece), instance_slices, memory_bytes),
        instance=int(pynvml.nvmlDeviceGetGpuInstanceId(piece)),
        slices=own or instance_slices,
        of=count,
        is_whole_instance=False,
        memory_bytes=memory_bytes or None,
    )
    return mig_slice, instance_slices


def _reserved(piece: Slice, instance_slices: int, is_alone: bool) -> Slice:
    """A slice alone in its GPU instance reserves the whole instance."""
    return replace(piece, slices=instance_slices, is_whole_instance=True) if is_alone else piece


def _profile(name: str, slices: int, memory_bytes: int) -> str:
    """``NVIDIA A100-SXM4-40GB MIG 3g.20gb``: the last word, where the driver reports it."""
    _, mark, profile = name.rpartition("MIG ")
    return profile if mark else f"{slices}g.{memory_bytes / 2**30:.0f}gb"


def _as_device(device: Device, piece: Slice) -> Device:
    return replace(
        device,
        uuid=piece.uuid,
        name=divided_name(device.name, [piece]),
        memory_bytes=piece.memory_bytes,
        mig=(),
        slice=piece,
    )
