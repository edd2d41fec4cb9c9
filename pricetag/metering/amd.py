"""AMD devices: the energy accumulator first, the socket's power beside it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pricetag.metering.amd_devices import handles, name_of, power_cap_w, uuid_of
from pricetag.metering.amd_library import (
    AmdUnavailableError,
    action_for,
    close_library,
    code_of,
    number,
    open_library,
    reopen_library,
)
from pricetag.metering.nvml import (
    FIRST_BACKOFF_S,
    MAX_BACKOFF_S,
    NO_COUNTER,
    NO_POWER,
    REOPENED,
)
from pricetag.metering.nvml_errors import Action, Unavailability
from pricetag.metering.source import LOST, NO_PERMISSION, UNAVAILABLE, Component, Reading

logger = logging.getLogger(__name__)

GAIN_STD_RATIO = 0.10
"""No published comparison with an external meter is known to the project: twice NVML's."""

POWER_KEYS = ("current_socket_power", "average_socket_power", "socket_power")
"""MI300 reports the first, MI200 and older the second; the last is whichever is available."""

COUNTER_KEYS = ("energy_accumulator", "power")
"""The second is the name in releases before ROCm 6.1."""


class _AmdGpu:
    """One device: its handle, its capabilities, and events since the last reading."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.component_id = f"gpu:{uuid}"
        self.handle: Any = None
        self.state: str | None = None
        self.retry_at_s = 0.0
        self.backoff_s = FIRST_BACKOFF_S
        self.has_counter = True
        self.has_power = True
        self.denied = False
        self.power_w: float | None = None
        self.flags: set[str] = set()

    def take_flags(self) -> tuple[str, ...]:
        """Persistent flags of this device, and flags of events since the last reading."""
        flags, self.flags = self.flags, set()
        if self.state is not None:
            flags.add(self.state)
        else:
            flags.update([] if self.has_counter else [NO_COUNTER])
            flags.update([] if self.has_power else [NO_POWER])
        if self.denied:
            flags.add(NO_PERMISSION)
        return tuple(sorted(flags))


class AmdSource:
    """Energy accumulator and power of AMD devices, keyed by UUID.

    A device that cannot be opened is metered as null with a flag, never omitted. The second
    die of a dual-die card reports nothing: the first reports the energy of both.

    Args:
        uuids: ``AMD-...`` UUIDs.

    Raises:
        ValueError: If a UUID is given twice.

    Source:
        Energy in µJ is ``energy_accumulator`` x ``counter_resolution``, power is in W: AMD
        SMI's Python API reference, ``amdsmi_get_energy_count``, ``amdsmi_get_power_info``.
    """

    def __init__(self, uuids: Sequence[str]) -> None:
        if len(set(uuids)) != len(uuids):
            raise ValueError(f"a device is named twice: {', '.join(uuids)}")
        self._gpus = [_AmdGpu(uuid) for uuid in uuids]
        self._powers_w: list[float | None] = [None] * len(self._gpus)
        self._library: Any = None
        self._components: list[Component] | None = None
        self._unavailability: Unavailability | None = None

    def components(self) -> list[Component]:
        """See :class:`~pricetag.metering.source.PowerSource`; opens the library the first time."""
        if self._components is None:
            for gpu in self._gpus:
                self._open(gpu, 0.0)
            self._components = [self._describe(gpu) for gpu in self._gpus]
        return list(self._components)

    def sample(self, now_s: float) -> Sequence[float | None]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        for index, gpu in enumerate(self._gpus):
            if gpu.handle is None and now_s >= gpu.retry_at_s and self._open(gpu, now_s):
                gpu.flags.add(REOPENED)
            if gpu.handle is not None:
                self._sample(gpu, now_s)
            self._powers_w[index] = gpu.power_w
        return self._powers_w

    def read(self, now_s: float) -> list[Reading]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        return [
            Reading(
                t_s=now_s,
                counter_j=self._counter_j(gpu, now_s),
                integrated_j=None,
                power_w=gpu.power_w,
                flags=gpu.take_flags(),
                component=gpu.component_id,
            )
            for gpu in self._gpus
        ]

    def close(self) -> None:
        """Release the library."""
        if self._library is not None:
            close_library(self._library)
            self._library = None

    def _open(self, gpu: _AmdGpu, now_s: float) -> bool:
        """Find a device's handle; if it is unavailable, the state says why."""
        try:
            if self._library is None:
                self._library = open_library()
            self._unavailability = None
            by_uuid = {uuid_of(self._library, handle): handle for handle in handles(self._library)}
        except AmdUnavailableError as error:
            self._unavailability = error.unavailability
            self._put_off(gpu, UNAVAILABLE, now_s)
            return False
        if gpu.uuid not in by_uuid:
            self._put_off(gpu, LOST, now_s)
            return False
        gpu.handle = by_uuid[gpu.uuid]
        self._sample(gpu, now_s)
        counter_j = self._counter_j(gpu, now_s)
        if gpu.handle is None:
            return False
        # The second die of a card always shows 0.
        gpu.has_power = gpu.has_power and bool(gpu.power_w)
        gpu.has_counter = gpu.has_counter and bool(counter_j)
        gpu.state, gpu.backoff_s = None, FIRST_BACKOFF_S
        return True

    def _sample(self, gpu: _AmdGpu, now_s: float) -> None:
        gpu.power_w = None
        if not gpu.has_power:
            return
        try:
            power_info = self._library.amdsmi_get_power_info(gpu.handle)
        except self._library.AmdSmiException as error:
            gpu.has_power = not self._react(gpu, error, now_s)
            return
        powers_w = [number(power_info.get(key)) for key in POWER_KEYS]
        gpu.power_w = next((power for power in powers_w if power is not None), None)

    def _counter_j(self, gpu: _AmdGpu, now_s: float) -> float | None:
        """The accumulator in J."""
        if gpu.handle is None or not gpu.has_counter:
            return None
        try:
            energy = self._library.amdsmi_get_energy_count(gpu.handle)
        except self._library.AmdSmiException as error:
            gpu.has_counter = not self._react(gpu, error, now_s)
            return None
        counts = next((number(energy[key]) for key in COUNTER_KEYS if key in energy), None)
        resolution_uj = number(energy.get("counter_resolution"))
        if counts is None or not resolution_uj:
            return None
        return counts * resolution_uj / 1e6

    def _react(self, gpu: _AmdGpu, error: Exception, now_s: float) -> bool:
        """Handle an error; returns whether this method will never work on this device."""
        code = code_of(error)
        action = action_for(code)
        gpu.denied = gpu.denied or action is Action.DEGRADE
        if action in (Action.NEXT_SOURCE, Action.DEGRADE):
            return True
        if action is Action.REINITIALIZE:
            self._reinitialize(gpu, now_s)
        elif action in (Action.LOST, Action.UNAVAILABLE):
            logger.warning("%s can no longer be read: %s", gpu.uuid, error)
            self._put_off(gpu, LOST if action is Action.LOST else UNAVAILABLE, now_s)
        else:
            gpu.flags.add(f"amdsmi_error_{code}")
        return False

    def _reinitialize(self, gpu: _AmdGpu, now_s: float) -> None:
        self._put_off(gpu, "amdsmi_uninitialised", now_s)
        try:
            reopen_library(self._library)
            gpu.retry_at_s = now_s  # retry at the next sample
        except AmdUnavailableError as error:
            self._unavailability = error.unavailability

    def _put_off(self, gpu: _AmdGpu, state: str, now_s: float) -> None:
        gpu.handle, gpu.power_w, gpu.state = None, None, state
        gpu.retry_at_s = now_s + gpu.backoff_s
        gpu.backoff_s = min(2.0 * gpu.backoff_s, MAX_BACKOFF_S)

    def _describe(self, gpu: _AmdGpu) -> Component:
        is_open = gpu.handle is not None
        return Component(
            id=gpu.component_id,
            kind="gpu",
            name=name_of(self._library, gpu.handle) if is_open else gpu.uuid,
            method="counter" if gpu.has_counter else "integrated",
            gain_std_ratio=GAIN_STD_RATIO,
            power_limit_w=power_cap_w(self._library, gpu.handle) if is_open else None,
            notes=self._notes(gpu),
        )

    def _notes(self, gpu: _AmdGpu) -> str | None:
        if gpu.handle is None:
            why = self._unavailability.reason if self._unavailability else f"state: {gpu.state}"
            return f"could not be opened: {why}"
        if not gpu.has_counter and not gpu.has_power:
            return "reports no energy: the first die of a dual-die card reports both"
        return None
