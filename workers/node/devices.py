"""The accelerators of this node, by UUID, and the jobs that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceSet:
    """Devices held by one job; an empty set is a CPU slot."""

    uuids: tuple[str, ...]


class DevicePool:
    """Assigns device sets to jobs.

    Args:
        uuids: Every device of this worker; a MIG slice is one.
        cpu_slots: Number of CPU-only jobs that may run at the same time.
        share: Number of jobs that may share one device.
    """

    def __init__(self, uuids: Sequence[str], *, cpu_slots: int, share: int = 1) -> None:
        if len(set(uuids)) != len(uuids):
            raise ValueError(f"a device is listed twice: {', '.join(uuids)}")
        if cpu_slots < 0:
            raise ValueError(f"cpu_slots must be 0 or more, not {cpu_slots}")
        if share < 1:
            raise ValueError(f"share must be 1 or more, not {share}")
        self._uuids = tuple(uuids)
        self._cpu_slots = cpu_slots
        self._share = share
        self._free = dict.fromkeys(uuids, share)
        self._free_cpu_slots = cpu_slots

    @property
    def capacity(self) -> int:
        """Maximum number of jobs that can run at the same time."""
        return len(self._uuids) * self._share + self._cpu_slots

    def sizes(self) -> list[int]:
        """Device counts of all jobs that this worker can run."""
        return [*([0] if self._cpu_slots else []), *range(1, len(self._uuids) + 1)]

    def fitting(self) -> list[int]:
        """Device counts of jobs that could start now."""
        free = sum(places > 0 for places in self._free.values())
        return [*([0] if self._free_cpu_slots else []), *range(1, free + 1)]

    def take(self, count: int) -> DeviceSet | None:
        """Take ``count`` devices (0: a CPU slot); returns None if they are not free.

        If jobs share devices, those with the fewest jobs are taken.
        """
        if count not in self.fitting():
            return None
        if count == 0:
            self._free_cpu_slots -= 1
            return DeviceSet(())
        uuids = sorted(self._uuids, key=lambda uuid: -self._free[uuid])[:count]
        for uuid in uuids:
            self._free[uuid] -= 1
        return DeviceSet(tuple(sorted(uuids, key=self._uuids.index)))

    def give_back(self, devices: DeviceSet) -> None:
        """Frees a device set for the next job."""
        if devices.uuids:
            for uuid in devices.uuids:
                self._free[uuid] += 1
        else:
            self._free_cpu_slots += 1
