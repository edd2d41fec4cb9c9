"""What is charged: windows of components, summed with their errors and their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pricetag.accounting.inputs import ComponentInfo, Factor
from pricetag.accounting.quantity import Quantity, Source, weakest
from pricetag.accounting.uncertainty import (
    Interval,
    Multiplier,
    Term,
    combine,
    counter_edge_std_ratio,
)
from pricetag.accounting.units import joules_to_kwh
from pricetag.accounting.window import WindowEnergy

SHORT_WINDOW_S = 1.0
"""Below this a GPU's counter has ticked too seldom: the figure is an estimate with bounds."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One component over one window.

    Attributes:
        component: Which.
        window: Its energy; None when nothing was measured for it at all.
        expected_s: For how long it ought to have been metered.
        node: Where.
    """

    component: ComponentInfo
    window: WindowEnergy | None
    expected_s: float
    node: str | None

    @property
    def energy_j(self) -> float | None:
        """What was metered, None when nothing was."""
        return None if self.window is None else self.window.energy_j

    @property
    def covered_s(self) -> float:
        """For how long it was metered."""
        return 0.0 if self.window is None else self.window.covered_s

    @property
    def is_short(self) -> bool:
        """Whether the window is too short for the counter that metered it."""
        return (
            self.component.kind == "gpu"
            and self.window is not None
            and "counter" in self.window.energy_by_source_j
            and 0 < self.window.duration_s < SHORT_WINDOW_S
        )

    @property
    def source(self) -> Source | None:
        """The weakest evidence in it; None when it is unknown."""
        if self.window is None or self.window.energy_j is None:
            return None
        if self.is_short:
            return "estimated"
        return weakest(*self.window.energy_by_source_j)


def sum_kwh(
    charges: Sequence[Charge], *, factors: Sequence[tuple[str, Factor]] = (), seed: int = 0
) -> Quantity:
    """Energy of some charges in kWh, times factors, with interval and weakest source.

    What was not metered is left out; that it is missing is told by coverage and flags.

    Args:
        charges: What to sum.
        factors: Named factors to multiply with; the unit stays kWh.
        seed: Of the Monte Carlo.
    """
    known = [charge for charge in charges if charge.energy_j is not None]
    sources = [charge.source for charge in known if charge.source is not None]
    if not sources:
        return Quantity.unknown("kWh", _why_unknown(charges))
    total = sum(joules_to_kwh(charge.energy_j or 0.0) for charge in known)
    multipliers = [multiplier(name, factor) for name, factor in factors]
    for _, factor in factors:
        total *= factor.value
        sources.append(factor.source)
    interval = _interval(known, factors, multipliers, seed)
    low, high = min(interval.low, total), max(interval.high, total)
    return Quantity(total, low, high, "kWh", weakest(*sources))


def multiplier(name: str, factor: Factor) -> Multiplier:
    """The error of a factor, as it enters a product."""
    return Multiplier(name, factor.relative_std_ratio, factor.multiplicative)


def factor_quantity(factor: Factor, *, at_least: float = 0.0) -> Quantity:
    """A factor with its 95% interval, cut off at the least that it can be."""
    term = Term(
        factor.value, "factor", factor.relative_std_ratio, multiplicative=factor.multiplicative
    )
    interval = combine([term])
    low = max(interval.low, at_least)
    return Quantity(factor.value, low, interval.high, factor.unit, factor.source)


def scaled(quantity: Quantity, ratio: float, unit: str) -> Quantity:
    """A known quantity times an exact number, in another unit."""
    value, low, high = quantity.value, quantity.low, quantity.high
    assert value is not None  # callers have asked
    assert low is not None
    assert high is not None
    return Quantity(value * ratio, low * ratio, high * ratio, unit, quantity.source)


def _why_unknown(charges: Sequence[Charge]) -> str:
    reasons: dict[str, None] = {}
    for charge in charges:
        if charge.window is None:
            reasons[f"{charge.component.id}: not measured"] = None
        elif charge.window.energy_j is None:
            reasons[f"{charge.component.id}: {charge.window.reason or 'not measured'}"] = None
    return "; ".join(reasons) if reasons else "no component was metered"


def _interval(
    charges: Sequence[Charge],
    factors: Sequence[tuple[str, Factor]],
    multipliers: Sequence[Multiplier],
    seed: int,
) -> Interval:
    product = 1.0
    for _, factor in factors:
        product *= factor.value
    bounds: list[Interval] = []
    terms: list[Term] = []
    for charge in charges:
        bound = _bounds_kwh(charge)
        if bound is None:
            terms.append(_term(charge, product))
        else:
            bounds.append(bound)
    sums = combine(terms, multipliers, seed=seed)
    if not bounds:
        return sums
    # Hard bounds (nothing to full power) of short windows are added end to end.
    relative = combine([Term(1.0, "unit", 0.0)], multipliers, seed=seed)
    low = sum(bound.low for bound in bounds) * product * relative.low
    high = sum(bound.high for bound in bounds) * product * relative.high
    return Interval(sums.low + low, sums.high + high)


def _bounds_kwh(charge: Charge) -> Interval | None:
    limit_w = charge.component.power_limit_w
    if not charge.is_short or limit_w is None or charge.window is None:
        return None
    most_j = max(limit_w * charge.window.duration_s, charge.energy_j or 0.0)
    return Interval(0.0, joules_to_kwh(most_j))


def _term(charge: Charge, product: float) -> Term:
    component, window = charge.component, charge.window
    assert window is not None  # only known charges come here
    energy_j = window.energy_j or 0.0
    modelled = component.method == "modelled"
    edge = 0.0
    if component.kind == "gpu" and energy_j > 0 and window.duration_s > 0:
        counted = window.energy_by_source_j.get("counter", 0.0) / energy_j
        edge = counted * counter_edge_std_ratio(window.duration_s)
    return Term(
        value=joules_to_kwh(energy_j) * product,
        # One model of card, one gain; one model of a host's power, one bias.
        group=f"{component.kind}:model" if modelled else f"{component.kind}:{component.name}",
        common_std_ratio=component.gain_std_ratio,
        own_std_ratio=edge,
        multiplicative=modelled,
    )
