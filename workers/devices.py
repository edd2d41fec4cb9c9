"""The accelerators of this node, by UUID, and who holds them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceSet:
    """Devices held by one job; an empty set is a CPU slot."""

    uuids: tuple[str, ...]


class DevicePool:
    """Hands out device sets, first come first served among the jobs that wait.

    Args:
        uuids: Every device of this worker.
        cpu_slots: How many jobs without a device may run side by side.
    """

    def __init__(self, uuids: Sequence[str], *, cpu_slots: int) -> None:
        if len(set(uuids)) != len(uuids):
            raise ValueError(f"a device is named twice: {', '.join(uuids)}")
        if cpu_slots < 0:
            raise ValueError(f"cpu_slots must be 0 or more, not {cpu_slots}")
        self.uuids = tuple(uuids)
        self.cpu_slots = cpu_slots
        self._free = list(uuids)
        self._free_cpu_slots = cpu_slots
        self._waiting: deque[tuple[int, asyncio.Future[DeviceSet]]] = deque()

    @property
    def capacity(self) -> int:
        """The most jobs that can run side by side."""
        return len(self.uuids) + self.cpu_slots

    @property
    def free(self) -> int:
        """How many jobs could start now, each with the least it may need."""
        return len(self._free) + self._free_cpu_slots

    def sizes(self) -> list[int]:
        """The device counts of jobs that can ever fit here."""
        return [*([0] if self.cpu_slots else []), *range(1, len(self.uuids) + 1)]

    async def take(self, count: int) -> DeviceSet:
        """Waits for ``count`` devices (0: a CPU slot).

        Raises:
            ValueError: If this node can never hold such a job.
        """
        if count not in self.sizes():
            raise ValueError(f"a job of {count} devices never fits a node of {len(self.uuids)}")
        future: asyncio.Future[DeviceSet] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, future))
        self._serve()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back(future.result())
            raise

    def give_back(self, devices: DeviceSet) -> None:
        """Frees a device set for the next job."""
        if devices.uuids:
            self._free.extend(devices.uuids)
            self._free.sort(key=self.uuids.index)
        else:
            self._free_cpu_slots += 1
        self._serve()

    def _serve(self) -> None:
        """Serves waiting jobs in order; one that waits for devices does not hold up CPU jobs."""
        blocked = False
        for entry in list(self._waiting):
            count, future = entry
            if future.done():
                self._waiting.remove(entry)
            elif count == 0 and self._free_cpu_slots:
                self._free_cpu_slots -= 1
                self._waiting.remove(entry)
                future.set_result(DeviceSet(()))
            elif 0 < count <= len(self._free) and not blocked:
                taken, self._free = self._free[:count], self._free[count:]
                self._waiting.remove(entry)
                future.set_result(DeviceSet(tuple(taken)))
            elif count:
                blocked = True
