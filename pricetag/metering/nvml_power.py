"""Methods to query a device's power from NVML, best first, chosen by its architecture.

Field values are called through the library's function pointers on structures made once: the
meter asks ten times a second for every device, and the wrappers would allocate each time.
"""

from __future__ import annotations

from ctypes import byref, c_int32, c_uint
from typing import Any, Protocol

import pynvml

_MEMBER_OF = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}


def call(name: str, *arguments: Any) -> int:
    """Call a function of the NVML library and return its code.

    Unlike the wrappers of nvidia-ml-py it fills structures that the caller reuses.
    """
    try:
        function = pynvml._nvmlGetFunctionPointer(name)
    except pynvml.NVMLError as error:
        return int(error.value)
    return int(function(*arguments))


class PowerRung(Protocol):
    """One method to query power."""

    def power_w(self, handle: Any) -> tuple[int, float]:
        """NVML's return code, and the power in W where it is ``NVML_SUCCESS``."""
        ...


class FieldPower:
    """Power by field value, at GPU scope.

    Scope 0 is the GPU. On Grace-Hopper scope 1, the module, holds the CPU too: it is not read,
    so that the CPU is never counted twice.

    Args:
        field_id: ``NVML_FI_DEV_POWER_INSTANT`` (186) or ``NVML_FI_DEV_POWER_AVERAGE`` (185).
    """

    def __init__(self, field_id: int) -> None:
        values = (pynvml.c_nvmlFieldValue_t * 1)()
        values[0].fieldId = field_id
        values[0].scopeId = pynvml.NVML_POWER_SCOPE_GPU
        self._field = values[0]
        self._value = self._field.value
        self._reference = byref(values)
        self._one = c_int32(1)

    def power_w(self, handle: Any) -> tuple[int, float]:
        """See :class:`PowerRung`. The call and the field each have their own code."""
        code = call("nvmlDeviceGetFieldValues", handle, self._one, self._reference)
        if code == pynvml.NVML_SUCCESS:
            code = int(self._field.nvmlReturn)
        if code != pynvml.NVML_SUCCESS:
            return code, 0.0
        member = _MEMBER_OF[self._field.valueType]
        return code, getattr(self._value, member) / 1000.0


class UsagePower:
    """``nvmlDeviceGetPowerUsage``: on Ampere GA10x, Ada and Hopper an average over 1 s."""

    def __init__(self) -> None:
        self._milliwatts = c_uint()
        self._reference = byref(self._milliwatts)

    def power_w(self, handle: Any) -> tuple[int, float]:
        """See :class:`PowerRung`."""
        code = call("nvmlDeviceGetPowerUsage", handle, self._reference)
        return code, self._milliwatts.value / 1000.0


PARTIAL_VIEW = frozenset({pynvml.NVML_DEVICE_ARCH_HOPPER, pynvml.NVML_DEVICE_ARCH_BLACKWELL})
"""Architectures whose instant power shows 25 of every 100 ms, while its average, over the last
second, misses nothing. A100's instant power is equally sparse, and it has no average; GA10x and
Ada see everything at once. Source: Yang et al. 2024, SC24, arXiv:2312.02741 (Hopper; Blackwell
is taken to be like it)."""

COUNTER_UPDATE_S = 0.1
VOLTA_COUNTER_UPDATE_S = 0.02


def architecture(handle: Any) -> int:
    """NVML's number of a device's architecture; ``NVML_DEVICE_ARCH_UNKNOWN`` if unknown."""
    number = c_uint(pynvml.NVML_DEVICE_ARCH_UNKNOWN)
    code = call("nvmlDeviceGetArchitecture", handle, byref(number))
    return int(number.value if code == pynvml.NVML_SUCCESS else pynvml.NVML_DEVICE_ARCH_UNKNOWN)


def power_rungs(architecture: int) -> list[PowerRung]:
    """A fresh ladder for one device.

    Integrated power must not miss any time: where the instant power does and an average does
    not, the average comes first.
    """
    instant = FieldPower(pynvml.NVML_FI_DEV_POWER_INSTANT)
    average = FieldPower(pynvml.NVML_FI_DEV_POWER_AVERAGE)
    fields = [average, instant] if architecture in PARTIAL_VIEW else [instant, average]
    return [*fields, UsagePower()]


def counter_update_s(architecture: int) -> float:
    """How often the energy counter is updated, in s, as far as known before it is observed."""
    is_volta = architecture == pynvml.NVML_DEVICE_ARCH_VOLTA
    return VOLTA_COUNTER_UPDATE_S if is_volta else COUNTER_UPDATE_S
