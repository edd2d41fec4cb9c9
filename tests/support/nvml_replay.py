"""A Python object that replaces the NVML library: the real nvidia-ml-py runs on a trace.

Set as ``pynvml.nvmlLib`` it is called as the C library would be, with ctypes arguments; what
is passed by reference is reached by ``argument._obj``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pynvml

from tests.support.fake_nvml.trace import (
    NVML_ERROR_GPU_IS_LOST,
    NVML_ERROR_NOT_FOUND,
    NVML_ERROR_NOT_SUPPORTED,
    NVML_ERROR_UNINITIALIZED,
    NVML_SUCCESS,
)

POWER_FIELDS = (pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_POWER_AVERAGE)


class ReplayedDevice(Protocol):
    """What is played: a ``FakeDevice``, or a simulated one of ``tests.support.sensors``."""

    @property
    def uuid(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def architecture(self) -> int: ...
    @property
    def limit_w(self) -> float: ...
    @property
    def memory_mb(self) -> int: ...
    @property
    def codes(self) -> dict[str, int]: ...
    def is_lost(self, t_s: float) -> bool: ...
    def power_w(self, t_s: float) -> float: ...
    def field_w(self, field_id: int, t_s: float) -> tuple[int, float]: ...
    def counter_at_mj(self, t_s: float) -> int: ...


class ReplayedTrace(Protocol):
    """The devices."""

    @property
    def devices(self) -> Sequence[ReplayedDevice]: ...


class NvmlReplay:
    """The library. ``now_s`` returns the seconds since the trace began.

    Attributes:
        calls: How often each function was called.
        refuses: Return codes by function name, instead of an answer.
        mig_slices: MIG UUIDs by the UUID of their device.
        fields_asked: Every field that was asked for, with its scope.
        limits_mw: Power limits that were set, by UUID.
    """

    def __init__(self, trace: ReplayedTrace, now_s: Callable[[], float]) -> None:
        self.trace = trace
        self.now_s = now_s
        self.users = 0
        self.calls: dict[str, int] = {}
        self.refuses: dict[str, int] = {}
        self.mig_slices: dict[str, tuple[str, ...]] = {}
        self.fields_asked: list[tuple[int, int]] = []
        self.limits_mw: dict[str, int] = {}

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("nvml"):
            raise AttributeError(name)
        handler = getattr(type(self), f"_{name}", None)
        if handler is None:
            raise AttributeError(name)

        def function(*arguments: Any) -> Any:  # a plain function, since pynvml sets its restype
            self.calls[name] = self.calls.get(name, 0) + 1
            if name in self.refuses:
                return self.refuses[name]
            needs_init = not name.startswith(("nvmlInit", "nvmlError"))
            if needs_init and not self.users:
                return NVML_ERROR_UNINITIALIZED
            return handler(self, *arguments)

        return function

    def _device(self, handle: Any) -> ReplayedDevice:
        return self.trace.devices[_number(handle) - 1]

    def _state(self, handle: Any) -> int:
        lost = self._device(handle).is_lost(self.now_s())
        return NVML_ERROR_GPU_IS_LOST if lost else NVML_SUCCESS

    def _nvmlInitWithFlags(self, flags: int) -> int:  # noqa: N802
        self.users += 1
        return NVML_SUCCESS

    def _nvmlShutdown(self) -> int:  # noqa: N802
        self.users -= 1
        return NVML_SUCCESS

    def _nvmlErrorString(self, code: int) -> bytes:  # noqa: N802
        return f"replayed error {code}".encode()

    def _nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.trace.devices)
        return NVML_SUCCESS

    def _nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:  # noqa: N802
        return self._give_handle(index.value, device)

    def _nvmlDeviceGetHandleByUUID(self, uuid: Any, device: Any) -> int:  # noqa: N802
        uuids = [device.uuid for device in self.trace.devices]
        wanted = uuid.value.decode()
        if wanted not in uuids:
            return NVML_ERROR_NOT_FOUND
        return self._give_handle(uuids.index(wanted), device)

    def _give_handle(self, index: int, device: Any) -> int:
        _set_number(device._obj, index + 1)
        return self._state(device._obj)

    def _nvmlDeviceGetUUID(self, handle: Any, text: Any, length: Any) -> int:  # noqa: N802
        number = _number(handle)
        uuid = self._slices()[number - 1001] if number > 1000 else self._device(handle).uuid
        text.value = uuid.encode()
        return NVML_SUCCESS

    def _nvmlDeviceGetName(self, handle: Any, text: Any, length: Any) -> int:  # noqa: N802
        text.value = self._device(handle).name.encode()
        return self._state(handle)

    def _nvmlDeviceGetArchitecture(self, handle: Any, architecture: Any) -> int:  # noqa: N802
        architecture._obj.value = self._device(handle).architecture
        return self._state(handle)

    def _nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.total = self._device(handle).memory_mb << 20
        return self._state(handle)

    def _nvmlDeviceGetEnforcedPowerLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
        limit._obj.value = self._limit_mw(handle)
        return self._state(handle)

    def _limit_mw(self, handle: Any) -> int:
        device = self._device(handle)
        return self.limits_mw.get(device.uuid, int(device.limit_w * 1000))

    def _nvmlDeviceGetPowerManagementLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
        limit._obj.value = self._limit_mw(handle)
        return self._state(handle)

    def _nvmlDeviceGetPowerManagementLimitConstraints(  # noqa: N802
        self, handle: Any, least: Any, most: Any
    ) -> int:
        """From a quarter of the device's limit to all of it."""
        most._obj.value = int(self._device(handle).limit_w * 1000)
        least._obj.value = most._obj.value // 4
        return self._state(handle)

    def _nvmlDeviceSetPowerManagementLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
        self.limits_mw[self._device(handle).uuid] = int(limit.value)
        return self._state(handle)

    def _nvmlDeviceGetPowerUsage(self, handle: Any, power: Any) -> int:  # noqa: N802
        device = self._device(handle)
        power._obj.value = round(device.power_w(self.now_s()) * 1000)
        return self._state(handle) or device.codes.get("usage", 0)

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, energy: Any) -> int:  # noqa: N802
        device = self._device(handle)
        energy._obj.value = device.counter_at_mj(self.now_s())
        return self._state(handle) or device.codes.get("counter", 0)

    def _nvmlDeviceGetFieldValues(self, handle: Any, count: Any, values: Any) -> int:  # noqa: N802
        device = self._device(handle)
        for value in values._obj:
            self.fields_asked.append((value.fieldId, value.scopeId))
            value.nvmlReturn, power_w = self._field(device, value.fieldId, value.scopeId)
            value.valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
            value.value.uiVal = round(power_w * 1000)
        return self._state(handle)

    def _field(self, device: ReplayedDevice, field_id: int, scope: int) -> tuple[int, float]:
        if field_id not in POWER_FIELDS:
            return NVML_ERROR_NOT_SUPPORTED, 0.0
        code, power_w = device.field_w(field_id, self.now_s())
        if scope == pynvml.NVML_POWER_SCOPE_GPU:
            return code, power_w
        rest_w = getattr(device, "module_w", None)
        if scope != pynvml.NVML_POWER_SCOPE_MODULE or rest_w is None:
            return NVML_ERROR_NOT_SUPPORTED, 0.0
        return code, power_w + rest_w

    def _nvmlDeviceGetMigMode(self, handle: Any, current: Any, pending: Any) -> int:  # noqa: N802
        is_on = self._device(handle).uuid in self.mig_slices
        current._obj.value = pending._obj.value = int(is_on)
        return NVML_SUCCESS

    def _nvmlDeviceGetMaxMigDeviceCount(self, handle: Any, count: Any) -> int:  # noqa: N802
        count._obj.value = 7
        return NVML_SUCCESS

    def _nvmlDeviceGetMigDeviceHandleByIndex(  # noqa: N802
        self, handle: Any, index: Any, device: Any
    ) -> int:
        slices = self.mig_slices[self._device(handle).uuid]
        if index.value >= len(slices):
            return NVML_ERROR_NOT_FOUND
        _set_number(device._obj, 1001 + self._slices().index(slices[index.value]))
        return NVML_SUCCESS

    def _slices(self) -> list[str]:
        return [uuid for slices in self.mig_slices.values() for uuid in slices]


@contextmanager
def replayed(library: object) -> Iterator[None]:
    """nvidia-ml-py on this library, and as it was before afterwards."""
    before = pynvml.nvmlLib
    cached = dict(pynvml._nvmlGetFunctionPointer_cache)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = library
    try:
        yield
    finally:
        pynvml.nvmlLib = before
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml._nvmlGetFunctionPointer_cache.update(cached)


def _number(handle: Any) -> int:
    """A handle's value; the library numbers its devices from 1."""
    return int(ctypes.cast(handle, ctypes.c_void_p).value or 0)


def _set_number(handle: Any, number: int) -> None:
    ctypes.cast(ctypes.byref(handle), ctypes.POINTER(ctypes.c_void_p))[0] = ctypes.c_void_p(number)
