"""Accelerators that were reserved, and for how long: what hardware is paid for by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pricetag.accounting.bill.inputs import AttemptInput
from pricetag.accounting.units import S_PER_H


def device_count(attempt: AttemptInput) -> int:
    """Accelerators reserved for an attempt; when none are named, those that were metered."""
    metered = sum(1 for component in attempt.components if component.kind == "gpu")
    return len(attempt.devices) or metered


def has_devices(attempts: Sequence[AttemptInput]) -> bool:
    """Whether any attempt had an accelerator."""
    return any(device_count(attempt) for attempt in attempts)


def whole_devices(attempt: AttemptInput) -> Mapping[str, Decimal]:
    """By product name, how many whole accelerators were reserved.

    A slice, or a device shared with other jobs, counts by its reserved part.
    """
    shared = [c for c in attempt.components if c.kind == "gpu" and c.reserved_ratio < 1]
    counts: dict[str, Decimal] = {}
    if shared or not attempt.devices:
        for component in attempt.components:
            if component.kind == "gpu":
                part = Decimal(str(component.reserved_ratio))
                counts[component.name] = counts.get(component.name, Decimal(0)) + part
        return counts
    for device in attempt.devices:
        counts[device.name] = counts.get(device.name, Decimal(0)) + 1
    return counts


def device_hours(attempts: Sequence[AttemptInput]) -> Decimal:
    """Reserved accelerator-hours of the attempts whose length is known."""
    hours = (
        sum(whole_devices(attempt).values(), Decimal(0)) * duration_h(attempt)
        for attempt in attempts
    )
    return sum(hours, Decimal(0))


def duration_h(attempt: AttemptInput) -> Decimal:
    """Length of an attempt in hours; 0 where it is unknown."""
    return Decimal(str(attempt.duration_s or 0.0)) / Decimal(S_PER_H)


def server_share(attempt: AttemptInput) -> Decimal:
    """The part of its machine that an attempt reserved, by the cores it was given."""
    hosts = [c.reserved_ratio for c in attempt.components if c.kind in ("cpu", "ram", "host")]
    return Decimal(str(max(hosts, default=1.0)))
