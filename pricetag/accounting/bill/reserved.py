"""Reserved accelerators and their hours, by which hardware is charged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pricetag.accounting.bill.inputs import AttemptInput
from pricetag.accounting.units import S_PER_H


def device_count(attempt: AttemptInput) -> int:
    """Number of accelerators reserved for an attempt, or else of metered ones."""
    metered = sum(1 for component in attempt.components if component.kind == "gpu")
    return len(attempt.devices) or metered


def has_devices(attempts: Sequence[AttemptInput]) -> bool:
    """Whether an attempt had an accelerator."""
    return any(device_count(attempt) for attempt in attempts)


def whole_devices(attempt: AttemptInput) -> Mapping[str, Decimal]:
    """Number of reserved whole accelerators by product name.

    A slice, or a device shared with other jobs, counts by its reserved share.
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
    """Reserved accelerator-hours of the attempts with a known duration."""
    hours = (
        sum(whole_devices(attempt).values(), Decimal(0)) * duration_h(attempt)
        for attempt in attempts
    )
    return sum(hours, Decimal(0))


def duration_h(attempt: AttemptInput) -> Decimal:
    """Duration of an attempt in hours; 0 if unknown."""
    return Decimal(str(attempt.duration_s or 0.0)) / Decimal(S_PER_H)


def server_share(attempt: AttemptInput) -> Decimal:
    """The share of its machine that an attempt reserved, by its cores."""
    hosts = [c.reserved_ratio for c in attempt.components if c.kind in ("cpu", "ram", "host")]
    return Decimal(str(max(hosts, default=1.0)))
