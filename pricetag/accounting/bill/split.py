"""Gross, baseline and dynamic energy: the devices' total, and the parts of the charge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pricetag.accounting.bill.charges import Charge, total
from pricetag.accounting.bill.figures import SplitTag
from pricetag.accounting.quantity.quantity import Quantity, Source
from pricetag.accounting.readings.window import WindowEnergy
from pricetag.accounting.units import joules_to_kwh


def split(charges: Sequence[Charge], charged: Quantity, seed: int) -> SplitTag:
    """The gross energy of the devices, and the idle and dynamic parts of the charged energy.

    Args:
        charges: All components over some windows.
        charged: Their charged energy.
        seed: Seed of the Monte Carlo simulation.

    Returns:
        ``gross_kwh`` is the energy of the components, including other jobs and idling;
        ``charged_ratio`` its charged share; ``baseline_kwh`` the part of the charge that an
        idle device would have used as well; ``dynamic_kwh`` the rest of the charge.
    """
    known_charges = [charge for charge in charges if charge.energy_j is not None]
    if not known_charges:
        reason = charged.reason or "no component was metered"
        none, share = Quantity.unknown("kWh", reason), Quantity.unknown("1", reason)
        return SplitTag(none, share, none, none)
    gross = charged
    if not all(_is_whole(charge.window) for charge in known_charges):
        gross = _part(known_charges, _device_j, "the energy of the whole device was not kept", seed)
    baseline = _part(known_charges, _baseline_j, "no idle baseline is known", seed)
    dynamic = _part(known_charges, _dynamic_j, "no idle baseline is known", seed)
    division_j = sum(charge.division_j for charge in known_charges)
    return SplitTag(gross, _ratio(charged, gross, joules_to_kwh(division_j)), baseline, dynamic)


def _is_whole(window: WindowEnergy | None) -> bool:
    return window is not None and window.device_energy_j == window.energy_j


def _device_j(window: WindowEnergy) -> float | None:
    return window.device_energy_j


def _baseline_j(window: WindowEnergy) -> float | None:
    return window.baseline_j


def _dynamic_j(window: WindowEnergy) -> float | None:
    if window.baseline_j is None or window.energy_j is None:
        return None
    return max(window.energy_j - window.baseline_j, 0.0)


def _part(
    charges: Sequence[Charge],
    figure: Callable[[WindowEnergy], float | None],
    missing: str,
    seed: int,
) -> Quantity:
    """The sum of one figure over the windows; unknown if it is missing in a window."""
    parts: list[Charge] = []
    for charge in charges:
        assert charge.window is not None  # only known charges come here
        energy_j = figure(charge.window)
        if energy_j is None:
            note = charge.component.baseline_note
            why = f"{missing} ({note})" if note and figure is not _device_j else missing
            return Quantity.unknown("kWh", f"{charge.component.id}: {why}")
        parts.append(replace(charge, window=_like(charge.window, energy_j)))
    return total(parts, seed=seed)


def _like(window: WindowEnergy, energy_j: float) -> WindowEnergy:
    """A window with the same evidence and another energy."""
    whole_j = sum(window.energy_by_source_j.values())
    first = next(iter(window.energy_by_source_j))
    by_source_j: dict[Source, float] = {first: energy_j}
    if whole_j > 0:
        by_source_j = {
            source: energy_j * part_j / whole_j
            for source, part_j in window.energy_by_source_j.items()
        }
    # This is not a charge: sharing the device does not add uncertainty.
    return replace(window, energy_j=energy_j, energy_by_source_j=by_source_j, device_energy_j=None)


def _ratio(charged: Quantity, gross: Quantity, division_kwh: float) -> Quantity:
    """Charged over gross energy; both come from one meter, whose error cancels."""
    if charged.value is None or charged.source is None or gross.value is None:
        reason = (charged if charged.value is None else gross).reason
        return Quantity.unknown("1", reason or "one of the two is unknown")
    if gross.value == 0:
        return Quantity.unknown("1", "the devices used nothing")
    ratio, apart = charged.value / gross.value, division_kwh / gross.value
    low, high = max(ratio - apart, 0.0), min(ratio + apart, 1.0)
    return Quantity(ratio, low, max(high, ratio), "1", charged.source)
