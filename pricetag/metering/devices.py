"""The accelerators of this machine, of any vendor, and the variables that show a job its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pricetag.metering.amd_devices import list_amd_devices
from pricetag.metering.amd_names import is_amd
from pricetag.metering.nvml_devices import Device, list_devices, resolve_visible

CUDA_VARIABLE = "CUDA_VISIBLE_DEVICES"
ROCR_VARIABLE = "ROCR_VISIBLE_DEVICES"

VARIABLES = frozenset({CUDA_VARIABLE, ROCR_VARIABLE, "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"})
"""Each hides devices; HIP obeys all four, so a leftover one would hide a job's own devices."""


def list_accelerators() -> list[Device]:
    """NVIDIA's devices, then AMD's, numbered consecutively.

    Raises:
        NvmlUnavailableError: If there is an NVIDIA driver and it cannot be used.
        AmdUnavailableError: If ``amdsmi`` is installed and cannot be used.
    """
    nvidia = list_devices()
    amd = list_amd_devices()
    return [*nvidia, *(replace(device, index=len(nvidia) + device.index) for device in amd)]


def visible_accelerators(environ: Mapping[str, str], devices: Sequence[Device]) -> list[str]:
    """UUIDs of the devices that this process was allowed to see.

    NVIDIA's by ``CUDA_VISIBLE_DEVICES``, AMD's by ``ROCR_VISIBLE_DEVICES``, or
    ``HIP_VISIBLE_DEVICES`` where that is not set.

    Args:
        environ: The process's environment.
        devices: What :func:`list_accelerators` returned.
    """
    nvidia = [device for device in devices if not is_amd(device.uuid)]
    amd = [device for device in devices if is_amd(device.uuid)]
    shown = environ.get(ROCR_VARIABLE, environ.get("HIP_VISIBLE_DEVICES"))
    return [*resolve_visible(environ.get(CUDA_VARIABLE), nvidia), *_visible_amd(shown, amd)]


def _visible_amd(shown: str | None, devices: Sequence[Device]) -> list[str]:
    if shown is None:
        return [device.uuid for device in devices]
    by_name = {str(place): device.uuid for place, device in enumerate(devices)}
    by_name |= {device.runtime_id: device.uuid for device in devices if device.runtime_id}
    named = (by_name.get(entry.strip()) for entry in shown.split(","))
    return list(dict.fromkeys(uuid for uuid in named if uuid is not None))


def device_environment(uuids: Sequence[str]) -> dict[str, str]:
    """The variables that show a job these devices and no others.

    Remove all other :data:`VARIABLES` from the environment.

    Raises:
        ValueError: If the devices of one job come from two vendors.
        AmdUnavailableError: If AMD's devices cannot be listed.
        LookupError: If a device is missing.
    """
    amd = [uuid for uuid in uuids if is_amd(uuid)]
    if not amd:
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", CUDA_VARIABLE: ",".join(uuids)}
    if len(amd) < len(uuids):
        raise ValueError(f"devices of two vendors in one job: {', '.join(uuids)}")
    names = {device.uuid: device.runtime_id or str(device.index) for device in list_amd_devices()}
    missing = [uuid for uuid in amd if uuid not in names]
    if missing:
        raise LookupError(f"AMD SMI does not know {', '.join(missing)}")
    return {ROCR_VARIABLE: ",".join(names[uuid] for uuid in amd)}
