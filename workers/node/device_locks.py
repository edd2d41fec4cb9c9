"""Which worker of a node has a device: the first to ask, for as long as it lives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pricetag.metering.nvml_devices import Device
from workers.node.machine import only_one


@dataclass(frozen=True, slots=True)
class Held:
    """Devices that were asked for.

    Attributes:
        ours: Those that this process has now.
        elsewhere: Those that a neighbour has.
    """

    ours: list[Device] = field(default_factory=list)
    elsewhere: list[Device] = field(default_factory=list)


@contextmanager
def hold(folder: Path, node: str, devices: Sequence[Device]) -> Iterator[Held]:
    """Takes what is free of some devices; the lock of a process that dies is free.

    Args:
        folder: Shared by the workers of the node.
        node: Its name.
        devices: Whole ones or slices.
    """
    held = Held()
    with ExitStack() as stack:
        for device in devices:
            folder.mkdir(parents=True, exist_ok=True)
            is_ours = stack.enter_context(only_one(folder / f"{node}.{device.uuid}.device"))
            (held.ours if is_ours else held.elsewhere).append(device)
        yield held
