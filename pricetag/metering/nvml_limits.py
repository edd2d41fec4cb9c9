"""Power limits of NVIDIA devices: read and set through NVML.

Source: NVML API Reference, ``nvmlDeviceSetPowerManagementLimit`` (needs root; lasts until the
driver is unloaded).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pynvml

from pricetag.metering.amd_names import is_amd
from pricetag.metering.nvml_devices import MIG_PREFIX, nvml_session

W = 1000
"""Milliwatts per watt: NVML's unit of limits."""


class PowerLimitError(RuntimeError):
    """A power limit cannot be set."""


@dataclass(frozen=True, slots=True)
class LimitRange:
    """The power limit of a device, and what it may be, in mW."""

    now_mw: int
    least_mw: int
    most_mw: int


def read_limit(uuid: str) -> LimitRange:
    """The present power limit of a device and its range.

    Raises:
        PowerLimitError: If it has none that can be set.
    """
    if is_amd(uuid) or uuid.startswith(MIG_PREFIX):
        what = "a MIG slice" if uuid.startswith(MIG_PREFIX) else "an AMD device"
        raise PowerLimitError(f"{uuid} is {what}: power limits are set on whole NVIDIA devices")
    try:
        with nvml_session():
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            least, most = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
            now = pynvml.nvmlDeviceGetPowerManagementLimit(handle)
    except pynvml.NVMLError as error:
        raise _failure(uuid, error) from error
    return LimitRange(int(now), int(least), int(most))


def set_limit(uuid: str, limit_mw: int) -> int:
    """Sets the power limit of a device; returns the limit that it has then, in mW.

    Raises:
        PowerLimitError: If that is not possible.
    """
    try:
        with nvml_session():
            handle: Any = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, limit_mw)
            return int(pynvml.nvmlDeviceGetPowerManagementLimit(handle))
    except pynvml.NVMLError as error:
        raise _failure(uuid, error) from error


def _failure(uuid: str, error: pynvml.NVMLError) -> PowerLimitError:
    if error.value == pynvml.NVML_ERROR_NO_PERMISSION:
        return PowerLimitError(
            f"the power limit of {uuid} can only be set by root: run the worker as root, or omit "
            "power_limit_w"
        )
    if error.value == pynvml.NVML_ERROR_NOT_SUPPORTED:
        return PowerLimitError(f"{uuid} has no power limit that can be set")
    return PowerLimitError(f"the power limit of {uuid} cannot be set: NVML: {error}")
