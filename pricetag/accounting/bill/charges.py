"""What is charged: windows of components, summed with their errors and their evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.bill.rates import Applied, Rate, RateMissing, Use, apply
from pricetag.accounting.quantity.error_terms import ErrorTerm, error_terms
from pricetag.accounting.quantity.gain import gain_group
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.quantity.uncertainty import (
    NVML_UPDATE_S,
    Interval,
    Term,
    combine,
    counter_edge_std_ratio,
)
from pricetag.accounting.readings.alignment import EDGE_ALIGNED
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.sharing import division_j
from pricetag.accounting.readings.window import WindowEnergy
from pricetag.accounting.units import joules_to_kwh

SHORT_WINDOW_S = 1.0
"""Below this a GPU's counter has ticked too seldom: the figure is an estimate with bounds."""

ALIGNED_RATIO = 0.25
"""What is left of an update's error at an aligned edge: root mean square over the loads of
``benchmarks.meter`` (0.2 to 0.26 over all of them, 0.44 for bursts near the counter's period)."""

MODEL_GAIN_STD_RATIO: Mapping[str, float] = {"cpu": 0.45, "host": 0.45, "ram": 1.0, "gpu": 0.0}
"""Error of the model that replaces a host's failed counter, by kind of component."""

NO_TICK = (
    "the counter was not updated in so short a window, and the device's power limit, "
    "which would bound it, is unknown"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """One component over one window.

    Attributes:
        component: Which.
        window: Its energy, calibrated; None when nothing was measured for it at all.
        expected_s: For how long it ought to have been metered.
        node: Where.
        by_hour_j: The same energy by UTC hour; empty where that was not kept.
        calibration: What its meter's figure was multiplied with.
    """

    component: Component
    window: WindowEnergy | None
    expected_s: float
    node: str | None
    by_hour_j: Mapping[str, float] = field(default_factory=dict)
    calibration: Factor | None = None

    @property
    def energy_j(self) -> float | None:
        """What was metered, None when nothing was."""
        return None if self.window is None or self.is_blind else self.window.energy_j

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
    def is_blind(self) -> bool:
        """Whether the window is so short that nothing can be said of it, not even a bound."""
        return (
            self.is_short
            and self.window is not None
            and self.window.energy_j == 0
            and self.component.power_limit_w is None
        )

    @property
    def source(self) -> Source | None:
        """The weakest evidence in it; None when it is unknown."""
        if self.window is None or self.energy_j is None:
            return None
        if self.is_short:
            return "estimated"
        return weakest(*self.window.energy_by_source_j)

    @property
    def division_j(self) -> float:
        """How far off its energy may be to either side, as the device's idle power is unknown."""
        window, energy_j = self.window, self.energy_j
        if window is None or energy_j is None or window.device_energy_j is None:
            return 0.0
        if window.baseline_j is not None:
            return 0.0
        return division_j(energy_j, window.device_energy_j, self.component.reserved_ratio)

    @property
    def reason(self) -> str | None:
        """Why its energy is unknown."""
        if self.window is None:
            return "not measured"
        if self.is_blind:
            return NO_TICK
        return self.window.reason

    @property
    def gain_group(self) -> str:
        """Who shares its gain error: one model of card, one model of a host's power."""
        about = self.component
        calibrated = None if self.calibration is None else about.id
        return gain_group(about.kind, about.name, about.method, calibrated=calibrated)

    @property
    def is_modelled(self) -> bool:
        """Whether its gain is that of a model, which is off by a factor."""
        return self.component.method == "modelled" and self.calibration is None

    @property
    def gain_std_ratio(self) -> float:
        """The gain error of its meter; that of its calibration, where it has one."""
        if self.calibration is not None:
            return self.calibration.relative_std_ratio
        gain, energy_j = self.component.gain_std_ratio, self.energy_j
        if self.component.method == "modelled" or self.window is None or not energy_j:
            return gain
        # Where a model replaced a failed counter, that part is only as good as the model.
        model_ratio = self.window.energy_by_source_j.get("modelled", 0.0) / energy_j
        if model_ratio == 0:
            return gain
        return gain + model_ratio * (max(MODEL_GAIN_STD_RATIO[self.component.kind], gain) - gain)


@dataclass(frozen=True, slots=True)
class Product:
    """A sum of charges times rates, before it becomes a figure.

    Attributes:
        value: In the unit of the product.
        terms: Its parts, each with its error.
        bounds: Hard bounds of the parts that are too short for their counter.
        division: How far off it may be to either side, as shared devices' idle power is unknown.
        rates: What the energies were multiplied with.
        sources: All evidence that entered.
    """

    value: float
    terms: tuple[Term, ...]
    bounds: tuple[Interval, ...]
    division: float
    rates: tuple[Applied, ...]
    sources: tuple[Source, ...]

    def quantity(self, unit: str, seed: int) -> Quantity:
        """The figure with its interval."""
        interval = self._interval(seed)
        low, high = min(interval.low, self.value), max(interval.high, self.value)
        return Quantity(self.value, low, high, unit, weakest(*self.sources))

    def error_terms(self) -> list[ErrorTerm]:
        """What its error is made of, absolute, one sigma each."""
        multipliers = [rate.multiplier for rate in self.rates]
        return error_terms(self.terms, self.bounds, multipliers, division=self.division)

    def _interval(self, seed: int) -> Interval:
        multipliers = [rate.multiplier for rate in self.rates]
        sums = combine(self.terms, multipliers, seed=seed)
        if not self.bounds and not self.division:
            return sums
        # Hard bounds are added end to end: from idle to full power of short windows, from
        # nothing idle to all of it of shared devices.
        relative = combine([Term(1.0, "unit", 0.0)], multipliers, seed=seed)
        least = sum(bound.low for bound in self.bounds) - self.division
        most = sum(bound.high for bound in self.bounds) + self.division
        # What is taken off is the least that it may be worth, so that the bound stays one.
        low = least * (relative.low if least > 0 else relative.high)
        return Interval(max(sums.low + low, 0.0), sums.high + most * relative.high)


def product(charges: Sequence[Charge], rates: Sequence[Rate] = ()) -> Product | None:
    """The energy of some charges in kWh, times rates; None when none of it is known.

    What was not metered is not included; coverage and flags show that it is missing.

    Raises:
        RateMissing: If a rate has no figure for a part of the energy.
    """
    known_charges = [charge for charge in charges if charge.energy_j is not None]
    if not known_charges:
        return None
    uses = [Use(charge.energy_j or 0.0, charge.by_hour_j) for charge in known_charges]
    applied = tuple(apply(rate, uses) for rate in rates)
    value = 0.0
    terms: list[Term] = []
    bounds: list[Interval] = []
    division = 0.0
    sources: list[Source] = [source for rate in applied for source in rate.sources]
    for index, charge in enumerate(known_charges):
        times = 1.0
        for rate in applied:
            times *= rate.values[index]
        value += joules_to_kwh(charge.energy_j or 0.0) * times
        bound = _bounds_kwh(charge)
        if bound is None:
            terms.append(_term(charge, times))
        else:
            bounds.append(Interval(bound.low * times, bound.high * times))
        division += joules_to_kwh(charge.division_j) * times
        if charge.source is not None:
            sources.append(charge.source)
    return Product(value, tuple(terms), tuple(bounds), division, applied, tuple(sources))


def total(
    charges: Sequence[Charge], rates: Sequence[Rate] = (), *, unit: str = "kWh", seed: int = 0
) -> Quantity:
    """The energy of some charges in kWh, times rates, with interval and weakest source.

    Args:
        charges: What to sum.
        rates: What to multiply with.
        unit: Of the product.
        seed: Of the Monte Carlo.
    """
    try:
        sum_product = product(charges, rates)
    except RateMissing as missing:
        return Quantity.unknown(unit, str(missing))
    if sum_product is None:
        return Quantity.unknown(unit, why_unknown(charges))
    return sum_product.quantity(unit, seed)


def why_unknown(charges: Sequence[Charge]) -> str:
    """Why none of the charges has an energy."""
    reasons = dict.fromkeys(
        f"{charge.component.id}: {charge.reason or 'not measured'}"
        for charge in charges
        if charge.energy_j is None
    )
    return "; ".join(reasons) if reasons else "no component was metered"


def factor_quantity(factor: Factor, *, at_least: float = 0.0) -> Quantity:
    """A factor with its 95% interval, cut off at the least that it can be."""
    term = Term(
        factor.value, "factor", factor.relative_std_ratio, multiplicative=factor.multiplicative
    )
    interval = combine([term])
    low = max(interval.low, at_least)
    return Quantity(factor.value, low, interval.high, factor.unit, factor.source)


def scaled(quantity: Quantity, ratio: float, unit: str) -> Quantity:
    """A known quantity times an exact number, in another unit; an unknown one stays so."""
    value, low, high = quantity.value, quantity.low, quantity.high
    if value is None or low is None or high is None:
        return Quantity.unknown(unit, quantity.reason or "it is unknown")
    return Quantity(value * ratio, low * ratio, high * ratio, unit, quantity.source)


def _bounds_kwh(charge: Charge) -> Interval | None:
    """From its idle power to its power limit, held for the whole of a short window."""
    limit_w, window = charge.component.power_limit_w, charge.window
    if not charge.is_short or limit_w is None or window is None:
        return None
    energy_j = charge.energy_j or 0.0
    most_j = max(limit_w * window.duration_s, energy_j)
    idle_w = charge.component.baseline_w or 0.0
    least_j = min(idle_w * charge.component.reserved_ratio * window.duration_s, most_j)
    return Interval(joules_to_kwh(min(least_j, energy_j)), joules_to_kwh(most_j))


def _term(charge: Charge, times: float) -> Term:
    component, window = charge.component, charge.window
    assert window is not None  # only known charges come here
    energy_j = window.energy_j or 0.0
    edge = 0.0
    if component.kind == "gpu" and energy_j > 0 and window.duration_s > 0:
        counted = window.energy_by_source_j.get("counter", 0.0) / energy_j
        edge = counted * counter_edge_std_ratio(window.duration_s, edge_s(charge))
    return Term(
        value=joules_to_kwh(energy_j) * times,
        group=charge.gain_group,
        common_std_ratio=charge.gain_std_ratio,
        own_std_ratio=edge,
        multiplicative=charge.is_modelled,
    )


def edge_s(charge: Charge) -> float:
    """How far off an edge of the window may be: a tick of the counter, less if aligned."""
    update_s = charge.component.update_s or NVML_UPDATE_S
    aligned = charge.window is not None and EDGE_ALIGNED in charge.window.flags
    return update_s * ALIGNED_RATIO if aligned else update_s
