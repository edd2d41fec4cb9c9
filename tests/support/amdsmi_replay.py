"""A replacement of AMD's ``amdsmi`` module: the meters run on a trace, as on NVML's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tests.support.fake_nvml.trace import FakeDevice

RESOLUTION_UJ = 15.259
NOT_SUPPORTED, NO_PERM, NOT_FOUND, NOT_INIT, DRIVER_NOT_LOADED = 2, 10, 31, 32, 34


class AmdSmiException(Exception):  # noqa: N818 - AMD's name
    pass


class AmdSmiLibraryException(AmdSmiException):
    def __init__(self, err_code: int) -> None:
        super().__init__(f"replayed error {err_code}")
        self.err_code = err_code


class AmdReplay(ModuleType):
    """The module.

    Attributes:
        users: How often it was initialized and not shut down.
        calls: How often each function was called.
        refuses: Status codes by function name, instead of an answer.
        is_old: Whether it answers as releases before ROCm 6 did.
        second_dies: UUIDs of dies that report no energy of their own.
    """

    def __init__(self, devices: Sequence[FakeDevice], now_s: Callable[[], float]) -> None:
        super().__init__("amdsmi")
        self.__spec__ = ModuleSpec("amdsmi", None)
        self.AmdSmiException = AmdSmiException
        self.AmdSmiLibraryException = AmdSmiLibraryException
        self.devices = list(devices)
        self.now_s = now_s
        self.users = 0
        self.calls: dict[str, int] = {}
        self.refuses: dict[str, int] = {}
        self.is_old = False
        self.second_dies: set[str] = set()

    def _enter(self, name: str, device: FakeDevice | None = None) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        if name in self.refuses:
            raise AmdSmiLibraryException(self.refuses[name])
        if name != "amdsmi_init" and not self.users:
            raise AmdSmiLibraryException(NOT_INIT)
        if device is not None and device.is_lost(self.now_s()):
            raise AmdSmiLibraryException(NOT_FOUND)

    def amdsmi_init(self) -> None:
        self._enter("amdsmi_init")
        self.users += 1

    def amdsmi_shut_down(self) -> None:
        self._enter("amdsmi_shut_down")
        self.users -= 1

    def amdsmi_get_processor_handles(self) -> list[FakeDevice]:
        self._enter("amdsmi_get_processor_handles")
        return [device for device in self.devices if not device.is_lost(self.now_s())]

    def amdsmi_get_gpu_device_uuid(self, device: FakeDevice) -> str:
        self._enter("amdsmi_get_gpu_device_uuid", device)
        return device.uuid

    def amdsmi_get_gpu_device_bdf(self, device: FakeDevice) -> str:
        self._enter("amdsmi_get_gpu_device_bdf", device)
        return f"0000:{self.devices.index(device):02x}:00.0"

    def amdsmi_get_gpu_asic_info(self, device: FakeDevice) -> dict[str, Any]:
        self._enter("amdsmi_get_gpu_asic_info", device)
        return {"market_name": device.name, "asic_serial": "0x1"}

    def amdsmi_get_gpu_vram_usage(self, device: FakeDevice) -> dict[str, Any]:
        self._enter("amdsmi_get_gpu_vram_usage", device)
        return {"vram_total": device.memory_mb, "vram_used": 0}

    def amdsmi_get_power_cap_info(self, device: FakeDevice) -> dict[str, Any]:
        self._enter("amdsmi_get_power_cap_info", device)
        return {"power_cap": device.limit_w if self.is_old else int(device.limit_w * 1e6)}

    def amdsmi_get_gpu_enumeration_info(self, device: FakeDevice) -> dict[str, Any]:
        self._enter("amdsmi_get_gpu_enumeration_info", device)
        if self.is_old:
            raise AmdSmiLibraryException(NOT_SUPPORTED)
        return {"hip_id": self.devices.index(device), "hip_uuid": f"GPU-hip{device.uuid[-4:]}"}

    def amdsmi_get_power_info(self, device: FakeDevice) -> dict[str, Any]:
        self._enter("amdsmi_get_power_info", device)
        watts = 0 if device.uuid in self.second_dies else round(device.power_w(self.now_s()))
        if self.is_old:
            return {"average_socket_power": watts, "power_limit": 300}
        return {"current_socket_power": watts, "average_socket_power": "N/A"}

    def amdsmi_get_energy_count(self, device: FakeDevice) -> dict[str, Any]:
        self._enter("amdsmi_get_energy_count", device)
        if code := device.codes.get("counter"):
            raise AmdSmiLibraryException(code)
        counts = int(device.counter_at_mj(self.now_s()) * 1000.0 / RESOLUTION_UJ)
        if device.uuid in self.second_dies:
            counts = 0
        key = "power" if self.is_old else "energy_accumulator"
        return {key: counts, "counter_resolution": RESOLUTION_UJ, "timestamp": 0}


@contextmanager
def amd_replayed(module: AmdReplay) -> Iterator[AmdReplay]:
    """Inside, ``import amdsmi`` gives this module; afterwards, the previous one."""
    before = sys.modules.get("amdsmi")
    sys.modules["amdsmi"] = module
    try:
        yield module
    finally:
        del sys.modules["amdsmi"]
        if before is not None:
            sys.modules["amdsmi"] = before
