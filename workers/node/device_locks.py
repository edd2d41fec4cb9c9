"""Assigns each device to the first worker of a node that locks it, while it lives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pricetag.metering.nvml_devices import Device
from workers.node.machine import only_one


@dataclass(frozen=True, slots=True)
class Held:
    """Requested devices.

    Attributes:
        ours: Devices now locked by this process.
        elsewhere: Devices locked by another worker.
    """

    ours: list[Device] = field(default_factory=list)
    elsewhere: list[Device] = field(default_factory=list)


@contextmanager
def hold(folder: Path, node: str, devices: Sequence[Device]) -> Iterator[Held]:
    """Lock those of the devices that are free; a dead process holds no locks.

    Args:
        folder: Folder shared by the workers of the node.
        node: Name of the node.
        devices: Whole devices or slices.
    """
    locked = Held()
    with ExitStack() as stack:
        for device in devices:
            folder.mkdir(parents=True, exist_ok=True)
            is_ours = stack.enter_context(only_one(folder / f"{node}.{device.uuid}.device"))
            (locked.ours if is_ours else locked.elsewhere).append(device)
        yield locked
