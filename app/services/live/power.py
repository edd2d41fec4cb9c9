"""The power board: the newest samples of every device of the lab, as frames.

Workers send batches of a second; a frame has all samples that came since the one before. Nothing
is repeated: a device that stops reporting is marked, and its samples end.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.schemas.stream import DeviceState, PowerBatch, PowerFrame

log = logging.getLogger("pricetag.server")

HISTORY_S = 60
"""Duration of the samples that a new reader gets, in s."""

LONG_HISTORY_S = 600
"""Duration of the means that a new reader can get in addition, in s."""

MEAN_MS = 5000
"""Period of these means, in ms."""

SILENT_S = 4.0
"""Time without samples after which a device counts as silent."""

FORGOTTEN_S = 3600.0
"""Time without samples after which a device is dropped."""

BACK_MS = 10_000
"""Maximum age of samples relative to the newest ones, in ms; older ones mean that a clock was set
back."""

FINE_S = 3.0
"""Time for which a slow meter of a device is ignored after samples of a faster one."""

Samples = list[int | None]


@dataclass(slots=True)
class _Device:
    state: DeviceState
    heard_s: float
    fine_s: float = float("-inf")
    newest: dict[int, int] = field(default_factory=dict)
    history: deque[tuple[int, int, Samples]] = field(default_factory=deque)
    means: deque[tuple[int, list[int]]] = field(default_factory=deque)

    def remember(self, t0: int, dt_ms: int, samples: Samples) -> None:
        """Keeps new samples for later readers."""
        self.history.append((t0, dt_ms, samples))
        while self.history[0][0] < t0 - 1000 * HISTORY_S:
            self.history.popleft()
        begin = t0 - t0 % MEAN_MS
        if not self.means or self.means[-1][0] != begin:
            self.means.append((begin, []))
        self.means[-1][1].extend(power_w for power_w in samples if power_w is not None)
        if len(self.means) > 1 and len(self.means[-2][1]) > 1:
            self.means[-2][1][:] = [_mean_of(self.means[-2][1])]
        while self.means[0][0] < t0 - 1000 * LONG_HISTORY_S:
            self.means.popleft()

    def forget(self) -> None:
        """Drops the samples, after which no line may be drawn to later ones."""
        self.history.clear()
        self.means.clear()

    def present_w(self) -> int | None:
        """Mean of the newest second; None if no sample of that second is known."""
        return _mean(self.history[-1][2]) if self.history else None


class PowerBoard:
    """Collects batches of all workers, and cuts them into frames."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, str], _Device] = {}
        self._numbers = 0
        self._new: dict[tuple[int, int], dict[int, Samples]] = {}
        self._changed: dict[int, DeviceState] = {}

    def receive(self, message: str, now_s: float) -> None:
        """Adds a worker's message; one that cannot be read is logged and dropped.

        Args:
            message: A batch as JSON.
            now_s: Monotonic seconds.
        """
        try:
            batch = PowerBatch.model_validate_json(message)
        except ValueError as error:
            log.warning("a batch of live power was dropped: %s", str(error).splitlines()[0])
            return
        for component in batch.components:
            device = self._device(batch.node, component, now_s)
            if batch.dt_ms >= 1000 and now_s - device.fine_s < FINE_S:
                continue
            newest = device.newest.get(batch.dt_ms, -1)
            if newest - batch.t0 > BACK_MS:  # the node's clock was ahead, and was set back
                device.newest.clear()
                device.forget()
            elif batch.t0 <= newest:
                continue  # another worker of the machine has sent the same second
            if batch.dt_ms < 1000:
                device.fine_s = now_s
            device.newest[batch.dt_ms] = batch.t0
            samples = list(component.w)
            device.remember(batch.t0, batch.dt_ms, samples)
            frame = self._new.setdefault((batch.t0, batch.dt_ms), {})
            frame[device.state.id] = samples

    def _device(self, node: str, component: Any, now_s: float) -> _Device:
        key = (node, component.id)
        device = self._devices.get(key)
        described = {
            "kind": component.kind,
            "name": component.name,
            "limit_w": component.limit_w,
            "method": component.method,
        }
        if device is None:
            self._numbers += 1
            state = DeviceState(
                id=self._numbers, node=node, component=component.id, reporting=True, **described
            )
            device = self._devices[key] = _Device(state, now_s)
            self._changed[state.id] = state
        device.heard_s = now_s
        current = device.state.model_copy(update={**described, "reporting": True})
        if current != device.state:
            device.state = self._changed[current.id] = current
        return device

    def cut(self, now_s: float) -> tuple[list[DeviceState], list[PowerFrame]]:
        """Devices that changed, and frames of all samples since the last call, oldest first."""
        for key, device in list(self._devices.items()):
            silent_s = now_s - device.heard_s
            if silent_s > SILENT_S and device.state.reporting:
                device.state = device.state.model_copy(update={"reporting": False})
                self._changed[device.state.id] = device.state
                device.history.clear()  # the means stay: they end where the device went silent
            if silent_s > FORGOTTEN_S:
                del self._devices[key]
        frames = [
            PowerFrame(t0=t0, dt_ms=dt_ms, ids=list(rows), w=list(rows.values()))
            for (t0, dt_ms), rows in sorted(self._new.items())
        ]
        changed = list(self._changed.values())
        self._new, self._changed = {}, {}
        return changed, frames

    def devices(self) -> list[DeviceState]:
        """All devices, by node and component."""
        ordered = sorted(self._devices.items())
        return [device.state for _, device in ordered]

    def present(self) -> list[tuple[DeviceState, int | None, int | None]]:
        """Each device with the beginning of its newest second, in ms since 1970, and its mean
        power.

        Both are None for a device that does not report.
        """
        return [
            (device.state, device.history[-1][0], device.present_w())
            if device.state.reporting and device.history
            else (device.state, None, None)
            for _, device in sorted(self._devices.items())
        ]

    def long_history(self) -> list[PowerFrame]:
        """Means of the last ten minutes, for the time before the samples of `history`."""
        rows: dict[int, dict[int, Samples]] = {}
        for device in self._devices.values():
            begin = device.history[0][0] if device.history else None
            for t0, powers_w in device.means:
                if powers_w and (begin is None or t0 + MEAN_MS <= begin):
                    rows.setdefault(t0, {})[device.state.id] = [_mean_of(powers_w)]
        return [
            PowerFrame(t0=t0, dt_ms=MEAN_MS, ids=list(own), w=list(own.values()))
            for t0, own in sorted(rows.items())
        ]

    def history(self) -> list[PowerFrame]:
        """The samples of the last minute, one frame for each second and period."""
        rows: dict[tuple[int, int], dict[int, Samples]] = {}
        for device in self._devices.values():
            for t0, dt_ms, samples in device.history:
                if device.state.id in self._new.get((t0, dt_ms), {}):
                    continue  # it comes with the next frames
                rows.setdefault((t0, dt_ms), {})[device.state.id] = samples
        return [
            PowerFrame(t0=t0, dt_ms=dt_ms, ids=list(own), w=list(own.values()))
            for (t0, dt_ms), own in sorted(rows.items())
        ]


def coalesced(frames: Iterable[PowerFrame]) -> list[PowerFrame]:
    """Fewer frames for a slow reader: of each second one mean for each device.

    The mean of the known samples; null where all are unknown.
    """
    seconds: dict[int, dict[int, Samples]] = {}
    for frame in frames:
        for number, samples in zip(frame.ids, frame.w, strict=True):
            seconds.setdefault(frame.t0, {}).setdefault(number, []).extend(samples)
    return [
        PowerFrame(t0=t0, dt_ms=1000, ids=list(rows), w=[[_mean(own)] for own in rows.values()])
        for t0, rows in sorted(seconds.items())
    ]


def _mean(samples: Sequence[int | None]) -> int | None:
    present = [power_w for power_w in samples if power_w is not None]
    return _mean_of(present) if present else None


def _mean_of(powers_w: Sequence[int]) -> int:
    return round(sum(powers_w) / len(powers_w))
