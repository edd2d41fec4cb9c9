"""Break-even from stages of a price tag; errors that their meters share cancel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from pricetag.accounting.bill.figures import ComponentTag
from pricetag.accounting.document.older import recovered_error
from pricetag.accounting.document.records import StageTag
from pricetag.accounting.quantity.quantity import Source, weakest
from pricetag.accounting.quantity.uncertainty import Z_95, Term
from pricetag.accounting.readings.window import FULL_COVERAGE_RATIO
from pricetag.accounting.work.break_even import UNIT, break_even_metered_alike
from pricetag.tag.figure import Figure
from pricetag.tag.names import shown_name

_NEXT_TO_NOTHING = 1e-9


class Window(NamedTuple):
    """A metered stage, and the part of its energy that counts."""

    stage: StageTag
    part_ratio: float = 1.0


def total_kwh(stages: Sequence[StageTag]) -> Figure:
    """The energy of some stages of one run, in kWh.

    Interval ends are added as they are, since the errors of one meter do not cancel in a sum.
    """
    if not stages:
        return Figure.unknown("no stage derived it from the first variant", "kWh")
    energies = [stage.energy.it_energy_kwh for stage in stages]
    value = low = high = 0.0
    sources: list[Source] = []
    for energy in energies:
        if energy.value is None or energy.source is None:
            return Figure.unknown(str(energy.reason), "kWh")
        value += energy.value
        low += energy.value if energy.low is None else energy.low
        high += energy.value if energy.high is None else energy.high
        sources.append(energy.source)
    return Figure(value, low, high, "kWh", weakest(*sources))


def break_even(making: Sequence[Window], before: Window, after: Window) -> Figure:
    """The number of inferences after which the energy of making a variant is saved.

    Args:
        making: The stages that made the variant.
        before: The stage of the first variant's inferences, divided by their number.
        after: The same of the variant.

    Returns:
        Unknown where a stage was not fully metered, or where the three were not metered by the
        same components, for then their energies cannot be compared.
    """
    windows = (*making, before, after)
    reason = _why_not(windows)
    if reason is not None:
        return Figure.unknown(reason, UNIT)
    sources = [window.stage.energy.it_energy_kwh.source for window in windows]
    return Figure.of(
        break_even_metered_alike(
            [term for window in making for term in _terms(window)],
            _terms(before),
            _terms(after),
            weakest(*(source for source in sources if source is not None)),
        )
    )


def _why_not(windows: Sequence[Window]) -> str | None:
    for stage, _ in windows:
        energy, name = stage.energy.it_energy_kwh, shown_name(stage)
        if energy.value is None:
            return f"the energy of {name} is unknown: {energy.reason}"
        coverage = stage.energy.coverage_ratio.value
        if coverage is None or coverage < FULL_COVERAGE_RATIO:
            return f"{name} was metered for only part of its run time"
    if len({frozenset(_meters(window)) for window in windows}) > 1:
        return "the stages were not metered by the same components"
    return None


def _meters(window: Window) -> list[tuple[str, str, str]]:
    return [
        (component.kind, component.name, component.method)
        for component in window.stage.energy.components
        if component.it_energy_kwh.value is not None
    ]


def _terms(window: Window) -> list[Term]:
    duration_s = window.stage.energy.duration_s.value or 0.0
    return [
        _term(component, window.part_ratio, duration_s)
        for component in window.stage.energy.components
        if component.it_energy_kwh.value is not None
    ]


def _term(component: ComponentTag, part_ratio: float, duration_s: float) -> Term:
    """A component's energy with its two kinds of error."""
    energy = component.it_energy_kwh
    value = high = energy.value or 0.0
    if energy.high is not None:
        high = energy.high
    if value <= 0 < high:
        # A counter without an update: only bounds are known. Errors of a term are relative,
        # so that it needs an amount, however small, to have them.
        value = high * _NEXT_TO_NOTHING
    error = component.error
    if error is None:
        error = recovered_error(component, value, duration_s)
    own = error.edge_std_ratio
    if error.bounds_kwh is not None and value > 0:
        # Hard bounds are the whole interval: what a normal error of that width would be.
        low = value if energy.low is None else energy.low
        own = max(high - value, value - low) / value / Z_95
    elif (error.division_kwh or error.unread_kwh) and value > 0:
        unread_kwh = error.unread_kwh or 0.0
        own = math.hypot(
            own,
            error.division_kwh / math.sqrt(3) / value,
            unread_kwh / math.sqrt(12) / value,
        )
    return Term(
        value * part_ratio,
        error.gain_group,
        0.0 if error.bounds_kwh is not None else error.gain_std_ratio,
        own,
        error.multiplicative,
    )
