"""Charges: windows of components, summed with their errors and their evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.bill.rates import Applied, Rate, RateMissing, Use, apply, bounded
from pricetag.accounting.quantity.error_terms import ErrorTerm, error_terms
from pricetag.accounting.quantity.gain import gain_group
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.quantity.uncertainty import (
    NVML_UPDATE_S,
    Z_95,
    Interval,
    Term,
    above_least,
    combine,
    counter_edge_std_ratio,
)
from pricetag.accounting.readings.alignment import EDGE_ALIGNED
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.reading import MODELS
from pricetag.accounting.readings.sharing import division_j
from pricetag.accounting.readings.window import WindowEnergy
from pricetag.accounting.units import joules_to_kwh

SHORT_WINDOW_S = 1.0
"""Duration below which a GPU's counter has too few updates, so that its figure is an estimate
with bounds."""

ALIGNED_RATIO = 0.25
"""Remaining share of an update's error at an aligned edge: root mean square over the loads of
``benchmarks.meter`` (0.2 to 0.26 over all of them, 0.44 for bursts near the counter's period)."""

MODEL_GAIN_STD_RATIO: Mapping[str, float] = {"cpu": 0.45, "host": 0.45, "ram": 1.0, "gpu": 0.0}
"""Error of the model that replaces a failed host counter, by kind of component."""

NO_TICK = (
    "the counter was not updated in so short a window, and the device's power limit, "
    "which would bound it, is unknown"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """One component over one window.

    Attributes:
        component: The component.
        window: Its energy, calibrated; None if it was not measured at all.
        expected_s: Time for which it should have been metered.
        node: Name of the node.
        by_hour_j: The same energy by UTC hour; empty if not stored.
        calibration: Factor by which its meter's figure was multiplied.
        after_last_j: The most that is charged after the last reading of a lost attempt, if the
            window reaches to its end; not calibrated.
    """

    component: Component
    window: WindowEnergy | None
    expected_s: float
    node: str | None
    by_hour_j: Mapping[str, float] = field(default_factory=dict)
    calibration: Factor | None = None
    after_last_j: float = 0.0

    @property
    def energy_j(self) -> float | None:
        """Metered energy, None if nothing was metered."""
        return None if self.window is None or self.is_blind else self.window.energy_j

    @property
    def covered_s(self) -> float:
        """Metered time."""
        return 0.0 if self.window is None else self.window.covered_s

    @property
    def is_short(self) -> bool:
        """Whether the window is too short for its counter."""
        return (
            self.component.kind == "gpu"
            and self.window is not None
            and "counter" in self.window.energy_by_source_j
            and 0 < self.window.duration_s < SHORT_WINDOW_S
        )

    @property
    def is_blind(self) -> bool:
        """Whether the window is so short that its energy has not even a bound."""
        return (
            self.is_short
            and self.window is not None
            and self.window.energy_j == 0
            and self.component.power_limit_w is None
        )

    @property
    def source(self) -> Source | None:
        """The weakest evidence in it; None if its energy is unknown."""
        if self.window is None or self.energy_j is None:
            return None
        if self.is_short:
            return "estimated"
        return weakest(*self.window.energy_by_source_j)

    @property
    def unread_j(self) -> float:
        """How much more its energy may be because the end of the window was not read, in J."""
        if self.energy_j is None or not self.after_last_j:
            return 0.0
        times = 1.0 if self.calibration is None else self.calibration.value
        gain = Term(1.0, "gain", self.gain_std_ratio, multiplicative=self.is_modelled)
        return self.after_last_j * times * combine([gain]).high

    @property
    def division_j(self) -> float:
        """Possible error of the energy in either direction due to unknown idle power."""
        window, energy_j = self.window, self.energy_j
        if window is None or energy_j is None or window.device_energy_j is None:
            return 0.0
        if window.baseline_j is not None:
            return 0.0
        return division_j(energy_j, window.device_energy_j, self.component.reserved_ratio)

    @property
    def reason(self) -> str | None:
        """Reason why the energy is unknown."""
        if self.window is None:
            return "not measured"
        if self.is_blind:
            return NO_TICK
        return self.window.reason

    @property
    def gain_group(self) -> str:
        """Group that shares its gain error: one card model, or one model of host power."""
        about = self.component
        calibrated = None if self.calibration is None else about.id
        return gain_group(about.kind, about.name, about.method, calibrated=calibrated)

    @property
    def is_modelled(self) -> bool:
        """Whether its gain is that of a model, whose error is a factor."""
        return self.component.method in MODELS and self.calibration is None

    @property
    def gain_std_ratio(self) -> float:
        """The gain error of its calibration, or else of its meter."""
        if self.calibration is not None:
            return self.calibration.relative_std_ratio
        gain, energy_j = self.component.gain_std_ratio, self.energy_j
        if self.component.method in MODELS or self.window is None or not energy_j:
            return gain
        # If a model replaced a failed counter, that part is only as accurate as the model.
        model_ratio = self.window.energy_by_source_j.get("modelled", 0.0) / energy_j
        if model_ratio == 0:
            return gain
        return gain + model_ratio * (max(MODEL_GAIN_STD_RATIO[self.component.kind], gain) - gain)


@dataclass(frozen=True, slots=True)
class Product:
    """A sum of charges times rates, before it becomes a quantity.

    Attributes:
        value: The value, in the unit of the product.
        terms: The summands, each with its error.
        bounds: Hard bounds of the parts that are too short for their counter.
        division: Possible error in either direction due to unknown idle power of shared devices.
        unread: Possible additional amount after the last reading of lost attempts.
        rates: The applied rates.
        sources: All evidence in the product.
    """

    value: float
    terms: tuple[Term, ...]
    bounds: tuple[Interval, ...]
    division: float
    unread: float
    rates: tuple[Applied, ...]
    sources: tuple[Source, ...]

    def quantity(self, unit: str, seed: int) -> Quantity:
        """The quantity with its interval."""
        interval = self._interval(seed)
        low, high = min(interval.low, self.value), max(interval.high, self.value)
        return Quantity(self.value, low, high, unit, weakest(*self.sources))

    def error_terms(self) -> list[ErrorTerm]:
        """The error terms, absolute, one sigma each."""
        multipliers = [rate.multiplier for rate in self.rates]
        return error_terms(
            self.terms, self.bounds, multipliers, division=self.division, unread=self.unread
        )

    def _interval(self, seed: int) -> Interval:
        multipliers = [rate.multiplier for rate in self.rates]
        sums = combine(self.terms, multipliers, seed=seed)
        if not (self.bounds or self.division or self.unread):
            return sums
        # Hard bounds are added linearly: for short windows from idle to full power, for shared
        # devices from no idle energy to only idle energy.
        relative = combine([Term(1.0, "unit", 0.0)], multipliers, seed=seed)
        least = sum(bound.low for bound in self.bounds) - self.division
        most = sum(bound.high for bound in self.bounds) + self.division + self.unread
        # The smallest possible value is subtracted, so that the bound remains valid.
        low = least * (relative.low if least > 0 else relative.high)
        return Interval(max(sums.low + low, 0.0), sums.high + most * relative.high)


def product(charges: Sequence[Charge], rates: Sequence[Rate] = ()) -> Product | None:
    """The energy of charges in kWh, times rates; None if all of it is unknown.

    Unmetered energy is not included; coverage and flags show that it is missing.

    Raises:
        RateMissing: If a rate has no value for a part of the energy.
    """
    known_charges = [charge for charge in charges if charge.energy_j is not None]
    if not known_charges:
        return None
    uses = [Use(charge.energy_j or 0.0, charge.by_hour_j) for charge in known_charges]
    applied = tuple(apply(rate, uses) for rate in rates)
    value = 0.0
    terms: list[Term] = []
    bounds: list[Interval] = []
    division = unread = 0.0
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
        unread += joules_to_kwh(charge.unread_j) * times
        if charge.source is not None:
            sources.append(charge.source)
    return Product(value, tuple(terms), tuple(bounds), division, unread, applied, tuple(sources))


def total(
    charges: Sequence[Charge], rates: Sequence[Rate] = (), *, unit: str = "kWh", seed: int = 0
) -> Quantity:
    """The energy of charges in kWh, times rates, with its interval and weakest evidence.

    Args:
        charges: The charges to sum.
        rates: The rates to multiply by.
        unit: Unit of the product.
        seed: Seed of the Monte Carlo simulation.
    """
    try:
        sum_product = product(charges, rates)
    except RateMissing as missing:
        return Quantity.unknown(unit, str(missing))
    if sum_product is None:
        return Quantity.unknown(unit, why_unknown(charges))
    return sum_product.quantity(unit, seed)


def why_unknown(charges: Sequence[Charge]) -> str:
    """Reasons why the energy of all charges is unknown."""
    reasons = dict.fromkeys(
        f"{charge.component.id}: {charge.reason or 'not measured'}"
        for charge in charges
        if charge.energy_j is None
    )
    return "; ".join(reasons) if reasons else "no component was metered"


def factor_quantity(factor: Factor, *, at_least: float = 0.0) -> Quantity:
    """A factor with its 95% interval, cut off at its smallest possible value."""
    term = Term(
        factor.value, "factor", factor.relative_std_ratio, multiplicative=factor.multiplicative
    )
    interval = combine([term])
    low = max(interval.low, at_least)
    return Quantity(factor.value, low, interval.high, factor.unit, factor.source)


def bounded_quantity(factor: Factor, least: float) -> Quantity:
    """A factor that cannot be below ``least``, with its 95% interval."""
    error = bounded("factor", factor, least)
    quantile = above_least(error.std_ratio, min(least / factor.value, 1.0))
    low, high = (factor.value * quantile(z) for z in (-Z_95, Z_95))
    low = max(min(low, factor.value), least)
    return Quantity(factor.value, low, max(high, factor.value), factor.unit, factor.source)


def at_least(quantity: Quantity, least: Quantity) -> Quantity:
    """A quantity whose interval does not extend below that of a part of it."""
    low, high = quantity.low, quantity.high
    if low is None or high is None or least.low is None or least.high is None:
        return quantity
    return replace(quantity, low=max(low, least.low), high=max(high, least.high))


def scaled(quantity: Quantity, ratio: float, unit: str) -> Quantity:
    """A quantity times an exact number, in another unit; an unknown quantity stays unknown."""
    value, low, high = quantity.value, quantity.low, quantity.high
    if value is None or low is None or high is None:
        return Quantity.unknown(unit, quantity.reason or "it is unknown")
    return Quantity(value * ratio, low * ratio, high * ratio, unit, quantity.source)


def _bounds_kwh(charge: Charge) -> Interval | None:
    """Bounds of a short window: idle power and power limit for its whole duration."""
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
    """Error of a window's edge: one update period of the counter, less if aligned."""
    update_s = charge.component.update_s or NVML_UPDATE_S
    aligned = charge.window is not None and EDGE_ALIGNED in charge.window.flags
    return update_s * ALIGNED_RATIO if aligned else update_s
