"""Efficiency of the hardware: model FLOPs utilization, FLOPs per joule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pricetag.accounting.bill.inputs import AttemptInput, Factor
from pricetag.accounting.bill.reserved import whole_devices
from pricetag.accounting.quantity.checks import require_positive
from pricetag.accounting.quantity.quantity import Quantity, weakest
from pricetag.accounting.units import kwh_to_joules

PER_JOULE = "FLOP/J"


def mfu_ratio(
    dense: Quantity,
    attempts: Sequence[tuple[AttemptInput, float | None]],
    peaks: Mapping[str, Factor],
) -> Quantity:
    """Model FLOPs utilization: dense FLOPs over the peak of the reserved accelerators.

    The peak is that of dense 16-bit arithmetic, also for work in another precision.

    Args:
        dense: Dense FLOPs.
        attempts: The attempts, each with its duration in seconds.
        peaks: Peak FLOP/s by product name.

    Source:
        Chowdhery et al. 2022, PaLM, appendix B.
    """
    if dense.value is None or dense.source is None:
        return Quantity.unknown("1", dense.reason or "no operations were counted")
    able = 0.0
    sources = [dense.source]
    for attempt, duration_s in attempts:
        for name, count in whole_devices(attempt).items():
            if name not in peaks:
                return Quantity.unknown("1", f"the peak of {name} is not in the catalog")
            peak = require_positive(f"peaks.{name}", peaks[name].value)
            able += float(count) * peak * (duration_s or 0.0)
            sources.append(peaks[name].source)
    if not any(whole_devices(attempt) for attempt, _ in attempts):
        return Quantity.unknown("1", "no accelerator was reserved, and no other peak is known")
    if able == 0:
        return Quantity.unknown("1", "the time is unknown or zero")
    ratio = dense.value / able
    return Quantity(ratio, ratio, ratio, "1", weakest(*sources), dense.reason)


def flops_per_joule(dense: Quantity, energy: Quantity) -> Quantity:
    """Dense FLOPs per joule of IT energy; the interval is that of the energy."""
    for part in (dense, energy):
        if part.value is None:
            return Quantity.unknown(PER_JOULE, part.reason or "one of the two is unknown")
    if not energy.low or not energy.high or not energy.value:
        return Quantity.unknown(PER_JOULE, "the energy may be zero")
    assert dense.value is not None  # checked above
    assert dense.source is not None
    assert energy.source is not None
    figure = dense.value / kwh_to_joules(energy.value)
    return Quantity(
        figure,
        min(dense.value / kwh_to_joules(energy.high), figure),
        max(dense.value / kwh_to_joules(energy.low), figure),
        PER_JOULE,
        weakest(dense.source, energy.source),
        dense.reason,
    )
