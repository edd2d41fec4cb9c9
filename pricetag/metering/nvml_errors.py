"""What each NVML return code means for the meter: one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import pynvml


class Action(Enum):
    """What the meter does about an error."""

    NEXT_SOURCE = "not supported by this device: use the next source and remember"
    DEGRADE = "not allowed: use the next source, remember, and flag it"
    LOST = "the device is gone: flag it, extrapolate nothing, open it again with backoff"
    REINITIALIZE = "the library is not initialized in this process: do so and continue"
    UNAVAILABLE = "no NVML on this machine: report it"
    TRY_AGAIN = "transient: flag it and try again at the next sample"


@dataclass(frozen=True, slots=True)
class Unavailability:
    """Why a vendor's library cannot be used at all, and the one command that may change that."""

    reason: str
    command: str


class LibraryUnavailableError(RuntimeError):
    """A vendor's library is installed, or should be, but cannot be used.

    Args:
        unavailability: The reason, and the command that may fix it.
    """

    def __init__(self, unavailability: Unavailability) -> None:
        super().__init__(f"{unavailability.reason}; try: {unavailability.command}")
        self.unavailability = unavailability


class NvmlUnavailableError(LibraryUnavailableError):
    """NVML is installed, or should be, but cannot be used."""


ACTIONS: Mapping[int, Action] = {
    pynvml.NVML_ERROR_UNINITIALIZED: Action.REINITIALIZE,
    pynvml.NVML_ERROR_INVALID_ARGUMENT: Action.NEXT_SOURCE,  # a field an old driver does not know
    pynvml.NVML_ERROR_NOT_SUPPORTED: Action.NEXT_SOURCE,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Action.NEXT_SOURCE,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH: Action.NEXT_SOURCE,
    pynvml.NVML_ERROR_DEPRECATED: Action.NEXT_SOURCE,
    pynvml.NVML_ERROR_NO_PERMISSION: Action.DEGRADE,
    pynvml.NVML_ERROR_NOT_FOUND: Action.LOST,
    pynvml.NVML_ERROR_GPU_IS_LOST: Action.LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED: Action.LOST,
    pynvml.NVML_ERROR_GPU_NOT_FOUND: Action.LOST,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Action.UNAVAILABLE,
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: Action.UNAVAILABLE,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Action.UNAVAILABLE,
}

_UNAVAILABLE: Mapping[int, Unavailability] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: Unavailability(
        "libnvidia-ml.so.1 was not found: no NVIDIA driver, or not passed into this container",
        "docker run --gpus all IMAGE",
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Unavailability(
        "the NVIDIA driver is not loaded", "sudo modprobe nvidia"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Unavailability(
        "the NVIDIA library and the loaded driver are of different versions", "sudo reboot"
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: Unavailability(
        "this user may not talk to the NVIDIA driver",
        "sudo chmod a+rw /dev/nvidiactl /dev/nvidia[0-9]*",
    ),
}

NOT_INSTALLED = frozenset(
    {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED}
)
"""Codes of a machine without an NVIDIA driver: it simply has no devices."""


def action_for(code: int) -> Action:
    """What to do about an NVML return code."""
    return ACTIONS.get(code, Action.TRY_AGAIN)


def unavailability(code: int) -> Unavailability:
    """Why NVML could not be initialized, in words."""
    reason = _UNAVAILABLE.get(code)
    return reason or Unavailability(f"NVML reported: {pynvml.NVMLError(code)}", "nvidia-smi")
