"""Energy of an attempt outside its stages: start-up, saving, waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pricetag.accounting.bill.bill import Biller, Span
from pricetag.accounting.bill.charges import Charge
from pricetag.accounting.bill.inputs import AttemptInput, StageInput, roots
from pricetag.accounting.quantity.quantity import Quantity, Source
from pricetag.accounting.readings.window import WindowEnergy

TOLERANCE_RATIO = 1e-6
"""Rounding error of a difference of large sums."""


def outside_stages(biller: Biller, attempts: Sequence[tuple[AttemptInput, Span]]) -> Quantity:
    """IT energy of attempts minus that of their stages, so that the parts add up to the whole.

    Returns:
        The energy in kWh; unknown, with a reason, if overlapping stages exceed their attempt.
    """
    rests: list[Charge] = []
    for attempt, span in attempts:
        stages = roots(attempt.stages)
        for charge in span.charges:
            outside = _rest(charge, stages)
            if outside is not None and attempt.duration_s in [stage.end_s for stage in stages]:
                outside = replace(outside, after_last_j=0.0)  # its stage's
            if outside is None:
                where = f"attempt {attempt.number}, {charge.component.id}"
                return Quantity.unknown("kWh", f"{where}: the stages exceed the attempt")
            rests.append(outside)
    return biller.it_kwh(rests)


def _rest(charge: Charge, stages: Sequence[StageInput]) -> Charge | None:
    """The part of a charge outside all stages; None if the stages exceed the charge."""
    window = charge.window
    if window is None or window.energy_j is None:
        return charge
    inside: dict[Source, float] = {}
    for stage in stages:
        for measurement in stage.measurements:
            if measurement.component_id != charge.component.id:
                continue
            for source, energy_j in measurement.window.energy_by_source_j.items():
                inside[source] = inside.get(source, 0.0) + energy_j
    tolerance_j = TOLERANCE_RATIO * max(window.energy_j, 1.0)
    if sum(inside.values()) > window.energy_j + tolerance_j:
        return None
    rest_j = {
        source: max(energy_j - inside.get(source, 0.0), 0.0)
        for source, energy_j in window.energy_by_source_j.items()
    }
    return replace(charge, window=_like(window, rest_j))


def _like(window: WindowEnergy, energy_by_source_j: dict[Source, float]) -> WindowEnergy:
    energy_j = sum(energy_by_source_j.values())
    return replace(window, energy_j=energy_j, energy_by_source_j=energy_by_source_j)
