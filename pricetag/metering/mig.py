"""MIG: slices of a device that jobs hold as if each were one."""

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
        found = [_slice(parent, handle, index, count) for index in range(count)]
    told = [piece for piece in found if piece is not None]
    instances = Counter(piece.instance for piece, _ in told)
    return [_reserved(piece, whole, instances[piece.instance] == 1) for piece, whole in told]


def usable_devices(devices: Sequence[Device]) -> list[Device]:
    """What jobs can be given: whole devices, and in the place of a divided one its slices.

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
    """The usable devices that these UUIDs mean; a divided device means all its slices.

    Args:
        named: UUIDs of whole devices or of slices.
        usable: What :func:`usable_devices` returned.
    """
    found: dict[str, Device] = {}
    for uuid in named:
        for device in usable:
            if uuid in (device.uuid, device.slice.parent if device.slice else None):
                found[device.uuid] = device
    return list(found.values())


def divided_name(name: str, slices: Sequence[Slice]) -> str:
    """A device's product name with the slices that are meant: ``NVIDIA A100 (MIG 3g.20gb)``."""
    return f"{name} (MIG {' + '.join(piece.profile for piece in slices)})"


def _slice(parent: str, handle: Any, index: int, count: int) -> tuple[Slice, int] | None:
    """One slice by its compute instance, and the slices of its GPU instance."""
    try:
        piece = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
    except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
        return None  # an empty slot
    told = pynvml.nvmlDeviceGetAttributes(piece)
    whole, own = int(told.gpuInstanceSliceCount), int(told.computeInstanceSliceCount)
    memory_bytes = int(told.memorySizeMB) << 20
    found = Slice(
        uuid=pynvml.nvmlDeviceGetUUID(piece),
        parent=parent,
        profile=_profile(pynvml.nvmlDeviceGetName(piece), whole, memory_bytes),
        instance=int(pynvml.nvmlDeviceGetGpuInstanceId(piece)),
        slices=own or whole,
        of=count,
        is_whole_instance=False,
        memory_bytes=memory_bytes or None,
    )
    return found, whole


def _reserved(piece: Slice, whole: int, is_alone: bool) -> Slice:
    """Alone in its GPU instance a slice reserves all of that, however much it computes on."""
    return replace(piece, slices=whole, is_whole_instance=True) if is_alone else piece


def _profile(name: str, slices: int, memory_bytes: int) -> str:
    """``NVIDIA A100-SXM4-40GB MIG 3g.20gb``: the last word, where the driver tells it."""
    _, mark, profile = name.rpartition("MIG ")
    return profile if mark else f"{slices}g.{memory_bytes / 2**30:.0f}gb"


def _as_device(whole: Device, piece: Slice) -> Device:
    return replace(
        whole,
        uuid=piece.uuid,
        name=divided_name(whole.name, [piece]),
        memory_bytes=piece.memory_bytes,
        mig=(),
        slice=piece,
    )
