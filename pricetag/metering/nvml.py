"""NVIDIA devices: the energy counter first, power beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ctypes import byref, c_uint64
from typing import Any

import pynvml

from pricetag.metering.nvml_devices import (
    MIG_PREFIX,
    Device,
    list_devices,
    power_limit_w,
    resolve_visible,
)
from pricetag.metering.nvml_errors import Action, Unavailability, action_for, unavailability
from pricetag.metering.nvml_power import (
    PowerRung,
    architecture,
    call,
    counter_update_s,
    power_rungs,
)
from pricetag.metering.source import LOST, NO_PERMISSION, UNAVAILABLE, Component, Reading

__all__ = ["Device", "NvmlSource", "list_devices", "resolve_visible"]

logger = logging.getLogger(__name__)

GAIN_STD_RATIO = 0.05
"""An uncalibrated card against an inline meter. Source: Yang et al., SC24: sd 4.2% (19 cards)."""

FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0

MIG = "mig"
NO_COUNTER = "no_counter"
NO_POWER = "no_power"
REOPENED = "reopened"


class _Gpu:
    """One device: its handle, its capabilities, and events since the last reading."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.component_id = f"gpu:{uuid}"
        self.is_mig = uuid.startswith(MIG_PREFIX)
        self.handle: Any = None
        self.state: str | None = None  # a flag for as long as it lasts
        self.is_state_reported = False
        self.retry_at_s = 0.0
        self.backoff_s = FIRST_BACKOFF_S
        self.has_counter = True
        self.denied = False
        self.power_w: float | None = None
        self.flags: set[str] = set()
        self.update_s: float | None = None
        self._rungs: list[PowerRung] | None = None
        self._millijoules = c_uint64()
        self._reference = byref(self._millijoules)

    def hold(self, handle: Any) -> None:
        """Store the device's handle; the first one selects the power ladder by architecture."""
        self.handle = handle
        if self._rungs is None:
            kind = architecture(handle)
            self._rungs, self.update_s = power_rungs(kind), counter_update_s(kind)

    def sample(self) -> int:
        """Read power into ``power_w``, going down the ladder; returns the last code."""
        self.power_w = None
        while self._rungs:
            code, power_w = self._rungs[0].power_w(self.handle)
            if code == pynvml.NVML_SUCCESS:
                self.power_w = power_w
                return code
            if not self._is_final(code):
                return code
            self._rungs.pop(0)
        return int(pynvml.NVML_SUCCESS)

    def counter_j(self) -> tuple[int, float | None]:
        """NVML's code and the counter in J, None where there is none."""
        if not self.has_counter:
            return pynvml.NVML_SUCCESS, None
        code = call("nvmlDeviceGetTotalEnergyConsumption", self.handle, self._reference)
        if code == pynvml.NVML_SUCCESS:
            return code, self._millijoules.value / 1000.0
        if self._is_final(code):
            self.has_counter = False
            return pynvml.NVML_SUCCESS, None
        return code, None

    def standing_flags(self) -> tuple[str, ...]:
        """Persistent flags of this device, and flags of events since the last reading."""
        flags, self.flags = self.flags, set()
        if self.state is not None:
            flags.add(self.state)
            self.is_state_reported = True
        elif not self.is_mig:
            if not self.has_counter:
                flags.add(NO_COUNTER)
            if self._rungs == []:
                flags.add(NO_POWER)
        if self.denied:
            flags.add(NO_PERMISSION)
        return tuple(sorted(flags))

    def _is_final(self, code: int) -> bool:
        """Whether this method will never work on this device; also remembers a denial."""
        action = action_for(code)
        self.denied = self.denied or action is Action.DEGRADE
        return action in (Action.NEXT_SOURCE, Action.DEGRADE)


class NvmlSource:
    """Counter and power of the given devices, keyed by UUID.

    A device that cannot be opened is metered as null with a flag, never omitted. A MIG slice
    has no counter or power of its own: it is listed, and null.

    Args:
        uuids: ``GPU-...`` or ``MIG-...`` UUIDs.

    Raises:
        ValueError: If a UUID is given twice.
    """

    def __init__(self, uuids: Sequence[str]) -> None:
        if len(set(uuids)) != len(uuids):
            raise ValueError(f"a device is named twice: {', '.join(uuids)}")
        self._gpus = [_Gpu(uuid) for uuid in uuids]
        self._powers_w: list[float | None] = [None] * len(self._gpus)
        self._initialized = False
        self._components: list[Component] | None = None
        self._unavailability: Unavailability | None = None

    def components(self) -> list[Component]:
        """See :class:`~pricetag.metering.source.PowerSource`; opens NVML the first time."""
        if self._components is None:
            self._initialize()
            for gpu in self._gpus:
                self._open(gpu, now_s=0.0)
            self._components = [self._describe(gpu) for gpu in self._gpus]
        return list(self._components)

    def sample(self, now_s: float) -> Sequence[float | None]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        for index, gpu in enumerate(self._gpus):
            if gpu.handle is None and not self._reopen(gpu, now_s):
                self._powers_w[index] = None
                continue
            code = gpu.sample()
            if code != pynvml.NVML_SUCCESS:
                self._react(gpu, code, now_s)
            self._powers_w[index] = gpu.power_w
        return self._powers_w

    def read(self, now_s: float) -> list[Reading]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        return [self._read(gpu, now_s) for gpu in self._gpus]

    def counter_now_j(self, index: int) -> float | None:
        """See :class:`~pricetag.metering.ticks.TickingSource`; errors are left to readings."""
        gpu = self._gpus[index]
        return None if gpu.handle is None else gpu.counter_j()[1]

    def power_now_w(self, index: int) -> float | None:
        """See :class:`~pricetag.metering.ticks.TickingSource`."""
        gpu = self._gpus[index]
        if gpu.handle is not None:
            gpu.sample()
        return gpu.power_w

    def close(self) -> None:
        """Shut down this source's use of NVML."""
        if not self._initialized:
            return
        self._initialized = False
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError as error:
            logger.info("NVML did not shut down: %s", error)

    def _read(self, gpu: _Gpu, now_s: float) -> Reading:
        counter_j = None
        if gpu.handle is not None:
            code, counter_j = gpu.counter_j()
            if code != pynvml.NVML_SUCCESS:
                self._react(gpu, code, now_s)
        return Reading(
            t_s=now_s,
            counter_j=counter_j,
            integrated_j=None,
            power_w=gpu.power_w,
            flags=gpu.standing_flags(),
            component=gpu.component_id,
        )

    def _initialize(self) -> bool:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            self._unavailability = unavailability(error.value)
            return False
        self._initialized = True
        self._unavailability = None
        return True

    def _open(self, gpu: _Gpu, now_s: float) -> bool:
        """Get a device's handle; if it is unavailable, the state says why."""
        if gpu.is_mig:
            gpu.state, gpu.retry_at_s = MIG, float("inf")
            return False
        if not self._initialized and not self._initialize():
            self._put_off(gpu, UNAVAILABLE, now_s)
            return False
        try:
            gpu.hold(pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid))
        except pynvml.NVMLError as error:
            self._react(gpu, error.value, now_s)
            return False
        code = gpu.sample()
        if code == pynvml.NVML_SUCCESS:
            code, _ = gpu.counter_j()
        if code != pynvml.NVML_SUCCESS:
            self._react(gpu, code, now_s)
        if gpu.handle is None:
            return False
        gpu.state, gpu.backoff_s = None, FIRST_BACKOFF_S
        return True

    def _reopen(self, gpu: _Gpu, now_s: float) -> bool:
        if now_s < gpu.retry_at_s:
            return False
        if all(other.handle is None for other in self._gpus):
            # Only a new initialization sees a device that was reset. It would invalidate the
            # handles of healthy devices, so it waits until there are none.
            self.close()
        was, is_reported = gpu.state, gpu.is_state_reported
        if not self._open(gpu, now_s):
            return False
        gpu.flags.add(REOPENED)
        if was is not None and not is_reported:
            gpu.flags.add(was)
        logger.info("%s is available again", gpu.uuid)
        return True

    def _react(self, gpu: _Gpu, code: int, now_s: float) -> None:
        action = action_for(code)
        gpu.power_w = None
        if action is Action.REINITIALIZE:
            gpu.handle = None
            self._initialized = False
            self._put_off(gpu, "nvml_uninitialised", now_s)
            gpu.retry_at_s = now_s  # no wait: the next sample initializes again
        elif action is Action.LOST:
            logger.warning("%s is lost: %s", gpu.uuid, pynvml.NVMLError(code))
            self._put_off(gpu, LOST, now_s)
        elif action is Action.UNAVAILABLE:
            self._unavailability = unavailability(code)
            self._put_off(gpu, UNAVAILABLE, now_s)
        elif gpu.handle is None:
            self._put_off(gpu, NO_PERMISSION if action is Action.DEGRADE else UNAVAILABLE, now_s)
            gpu.flags.add(f"nvml_error_{code}")
        else:
            gpu.flags.add(f"nvml_error_{code}")

    def _put_off(self, gpu: _Gpu, state: str, now_s: float) -> None:
        gpu.is_state_reported = gpu.is_state_reported and gpu.state == state
        gpu.handle, gpu.power_w, gpu.state = None, None, state
        gpu.retry_at_s = now_s + gpu.backoff_s
        gpu.backoff_s = min(2.0 * gpu.backoff_s, MAX_BACKOFF_S)

    def _describe(self, gpu: _Gpu) -> Component:
        name = pynvml.nvmlDeviceGetName(gpu.handle) if gpu.handle is not None else gpu.uuid
        return Component(
            id=gpu.component_id,
            kind="gpu",
            name=name,
            method="counter" if gpu.has_counter else "integrated",
            gain_std_ratio=GAIN_STD_RATIO,
            power_limit_w=power_limit_w(gpu.handle) if gpu.handle is not None else None,
            notes=self._notes(gpu, name),
            update_s=gpu.update_s if gpu.has_counter else None,
        )

    def _notes(self, gpu: _Gpu, name: str) -> str | None:
        if gpu.is_mig:
            return "a MIG slice has no counter and no power reading"
        if gpu.handle is None:
            why = self._unavailability.reason if self._unavailability else f"state: {gpu.state}"
            return f"could not be opened: {why}"
        if "GH200" in name or "GB200" in name or "Grace" in name:
            return "power of the GPU alone; the module's figure includes the CPU and is not added"
        return None
