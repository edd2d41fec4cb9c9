"""The energy figures of a stage, an attempt or a run, from its charges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pricetag.accounting.bill.charges import (
    Charge,
    Product,
    at_least,
    bounded_quantity,
    edge_s,
    factor_quantity,
    product,
    scaled,
    total,
    why_unknown,
)
from pricetag.accounting.bill.component_errors import component_error
from pricetag.accounting.bill.figures import ComponentTag, EnergyTag
from pricetag.accounting.bill.inputs import Factors
from pricetag.accounting.bill.rates import Rate, RateMissing
from pricetag.accounting.bill.scheduled import elapsed_s
from pricetag.accounting.bill.split import split
from pricetag.accounting.quantity.quantity import Quantity, weakest
from pricetag.accounting.quantity.uncertainty import Term, combine
from pricetag.accounting.readings.alignment import EDGE_ALIGNED
from pricetag.accounting.readings.unread import END_UNREAD
from pricetag.accounting.readings.window import FULL_COVERAGE_RATIO
from pricetag.accounting.units import G_PER_KG, kwh_to_joules

MOSTLY_MODELLED_RATIO = 0.5

LEAST_PUE = 1.0
"""A facility uses at least the energy of its IT equipment (ISO/IEC 30134-2)."""

IDLE_POWER_UNKNOWN = "idle_power_unknown"

NOTHING_RESERVED = "nothing_reserved"
"""Flag: the job ran beside one that had reserved the whole machine and pays for idle energy."""


@dataclass(frozen=True, slots=True)
class Span:
    """An interval of one attempt, with its charges.

    ``duration_s`` is None if the interval never ended. ``begin_s`` is the time of its begin where
    attempts run at the same time, on several nodes; None where they follow one another.
    """

    duration_s: float | None
    charges: tuple[Charge, ...]
    begin_s: float | None = None


class Biller:
    """Turns spans into energy figures under one set of factors.

    Args:
        factors: PUE, carbon intensity and prices.
        seed: Seed of the Monte Carlo intervals.
        keeps_errors: Whether to include the error terms of each component.
        bounds_pue: Whether the PUE cannot be below 1, nor facility energy below IT energy.
    """

    def __init__(
        self,
        factors: Factors,
        seed: int,
        *,
        keeps_errors: bool = True,
        bounds_pue: bool = True,
    ) -> None:
        self.factors = factors
        self.seed = seed
        self.keeps_errors = keeps_errors
        self.bounds_pue = bounds_pue
        self._pue = Rate("pue", factors.pue, least=LEAST_PUE if bounds_pue else None)

    def energy(self, spans: Sequence[Span]) -> EnergyTag:
        """The figures of some spans (one attempt, or all attempts)."""
        charges = [charge for span in spans for charge in span.charges]
        it_kwh = self.it_kwh(charges)
        coverage = coverage_ratio(spans)
        components = self._components(charges, it_kwh)
        return EnergyTag(
            duration_s=duration(spans),
            it_energy_kwh=it_kwh,
            facility_energy_kwh=self.facility_kwh(charges),
            co2e_kg=self.co2e_kg(charges),
            power_w=mean_power(spans, it_kwh),
            coverage_ratio=coverage,
            split=split(charges, it_kwh, self.seed),
            components=components,
            flags=_flags(charges, components, coverage),
        )

    def it_kwh(self, charges: Sequence[Charge]) -> Quantity:
        """IT energy: the energy of the components."""
        return total(charges, seed=self.seed)

    def facility_kwh(self, charges: Sequence[Charge]) -> Quantity:
        """IT energy x PUE, not below IT energy."""
        facility = total(charges, [self._pue], seed=self.seed)
        return at_least(facility, self.it_kwh(charges)) if self.bounds_pue else facility

    def times(self, charges: Sequence[Charge], rate: Rate, unit: str) -> Quantity:
        """Facility energy times a rate per kWh, not below IT energy times the rate."""
        product = total(charges, [self._pue, rate], unit=unit, seed=self.seed)
        if not self.bounds_pue:
            return product
        return at_least(product, total(charges, [rate], unit=unit, seed=self.seed))

    def pue(self) -> Quantity:
        """The PUE with its interval."""
        factor = self.factors.pue
        if not self.bounds_pue:
            return factor_quantity(factor, at_least=LEAST_PUE)
        return bounded_quantity(factor, LEAST_PUE)

    def products(self, charges: Sequence[Charge], *rates: Rate) -> Product | None:
        """Facility energy times rates, with its error terms; None if unknown."""
        try:
            return product(charges, [self._pue, *rates])
        except RateMissing:
            return None

    @property
    def carbon(self) -> Rate | None:
        """Carbon intensity, hourly where known; None if there is none."""
        factors = self.factors
        if factors.carbon_intensity is None and factors.carbon_hours is None:
            return None
        return Rate("carbon_intensity", factors.carbon_intensity, factors.carbon_hours)

    def co2e_kg(self, charges: Sequence[Charge]) -> Quantity:
        """Location-based emissions."""
        if self.carbon is None:
            return Quantity.unknown("kg", self.factors.carbon_intensity_reason)
        return scaled(self.times(charges, self.carbon, "g"), 1 / G_PER_KG, "kg")

    def carbon_intensity(self, charges: Sequence[Charge]) -> tuple[Quantity, Quantity]:
        """The applied carbon intensity (g/kWh), and the share of energy with hourly values."""
        rate, flat = self.carbon, self.factors.carbon_intensity
        no_hours = Quantity.unknown("1", "no hourly carbon intensity is known for the site")
        if rate is None:
            return Quantity.unknown("g/kWh", self.factors.carbon_intensity_reason), no_hours
        if rate.hours is None and flat is not None:
            return factor_quantity(flat), no_hours
        try:
            emissions = product(charges, [rate])
        except RateMissing as missing:
            return Quantity.unknown("g/kWh", str(missing)), no_hours
        if emissions is None:
            reason = why_unknown(charges)
            return Quantity.unknown("g/kWh", reason), Quantity.unknown("1", reason)
        return _applied_intensity(emissions)

    def _components(self, charges: Sequence[Charge], total: Quantity) -> tuple[ComponentTag, ...]:
        groups: dict[tuple[str, str, str, str | None, float], list[Charge]] = {}
        for charge in charges:
            about = charge.component
            key = (about.id, about.name, about.method, charge.node, about.reserved_ratio)
            groups.setdefault(key, []).append(charge)
        return tuple(self._component(group, total) for group in groups.values())

    def _component(self, charges: Sequence[Charge], total: Quantity) -> ComponentTag:
        last = charges[-1]
        about = last.component
        energy = self.it_kwh(charges)
        covered_s = sum(charge.covered_s for charge in charges)
        expected_s = sum(charge.expected_s for charge in charges)
        return ComponentTag(
            id=about.id,
            kind=about.kind,
            name=about.name,
            method=about.method,
            node=last.node,
            it_energy_kwh=energy,
            power_w=_power(energy, covered_s),
            coverage_ratio=_coverage(covered_s, expected_s),
            share_ratio=share(energy, total),
            split=split(charges, energy, self.seed),
            reserved_ratio=about.reserved_ratio,
            calibration=None if last.calibration is None else factor_quantity(last.calibration),
            edge_s=edge_s(last) if about.kind == "gpu" and about.method == "counter" else None,
            flags=window_flags(charges),
            notes=about.notes,
            error=component_error(charges) if self.keeps_errors else None,
        )


def _applied_intensity(emissions: Product) -> tuple[Quantity, Quantity]:
    applied = emissions.rates[0]
    term = Term(
        applied.mean,
        "factor",
        applied.multiplier.std_ratio,
        multiplicative=applied.multiplier.multiplicative,
    )
    interval = combine([term])
    intensity = Quantity(
        applied.mean, interval.low, interval.high, "g/kWh", weakest(*applied.sources)
    )
    return intensity, Quantity.exact(applied.hourly_share_ratio, "1", weakest(*applied.sources))


def duration(spans: Sequence[Span]) -> Quantity:
    """Wall-clock time of some spans."""
    ended = [(span.begin_s, span.duration_s) for span in spans if span.duration_s is not None]
    if not ended:
        return Quantity.unknown("s", "it never ended" if spans else "there was no attempt")
    remark = None if len(ended) == len(spans) else "without the attempts that never ended"
    total = elapsed_s(ended)
    return Quantity(total, total, total, "s", "counter", remark)


def coverage_ratio(spans: Sequence[Span]) -> Quantity:
    """Share of the components' run time that was metered.

    A span without any component counts as entirely unmetered.
    """
    covered_s = expected_s = 0.0
    for span in spans:
        if not span.charges:
            expected_s += span.duration_s or 0.0
        covered_s += sum(charge.covered_s for charge in span.charges)
        expected_s += sum(charge.expected_s for charge in span.charges)
    return _coverage(covered_s, expected_s)


def share(part: Quantity, total: Quantity) -> Quantity:
    """Part over total. Common errors cancel; the other errors are not propagated."""
    if part.value is None:
        return Quantity.unknown("1", part.reason or "the part is unknown")
    if not total.value or part.source is None:
        return Quantity.unknown("1", total.reason or "the total is zero")
    return Quantity.exact(part.value / total.value, "1", part.source)


def mean_power(spans: Sequence[Span], energy: Quantity) -> Quantity:
    """Mean IT power in W while metered.

    Each component's mean covers its own metered time, so that a gap of one component does not
    lower the sum; spans are weighted by their metered time, and those of several nodes at the same
    time are added.
    """
    if energy.value is None:
        return Quantity.unknown("W", energy.reason or "the energy is unknown")
    weighted_j = 0.0
    metered: list[tuple[float | None, float]] = []
    for span in spans:
        covered_s = max((charge.covered_s for charge in span.charges), default=0.0)
        power_w = sum(
            (charge.energy_j or 0.0) / charge.covered_s
            for charge in span.charges
            if charge.covered_s > 0
        )
        weighted_j += power_w * covered_s
        metered.append((span.begin_s, covered_s))
    metered_s = elapsed_s(metered)
    if metered_s <= 0:
        return Quantity.unknown("W", "the metered time is zero")
    if energy.value == 0:
        return scaled(energy, kwh_to_joules(1.0) / metered_s, "W")
    return scaled(energy, weighted_j / metered_s / energy.value, "W")


def window_flags(charges: Iterable[Charge]) -> tuple[str, ...]:
    """The flags of all windows, sorted."""
    charges = list(charges)
    flags = {flag for c in charges if c.window is not None for flag in c.window.flags}
    flags.discard(EDGE_ALIGNED)  # it narrows the interval, and is not a warning
    if any(charge.is_short for charge in charges):
        flags.add("short_window")
    if any(_above_limit(charge) for charge in charges):
        flags.add("above_power_limit")
    if any(charge.unread_j for charge in charges):
        flags.add(END_UNREAD)
    if any(charge.division_j for charge in charges):
        flags.add(IDLE_POWER_UNKNOWN)
    if any(c.component.reserved_ratio == 0 and c.energy_j is not None for c in charges):
        flags.add(NOTHING_RESERVED)
    return tuple(sorted(flags))


def _above_limit(charge: Charge) -> bool:
    limit_w = charge.component.power_limit_w
    if limit_w is None or charge.energy_j is None or charge.covered_s < 1.0:
        return False
    # Boards slightly exceed their limit, and the gain has an error of a few percent.
    return charge.energy_j / charge.covered_s > 1.2 * limit_w


def _power(energy: Quantity, covered_s: float) -> Quantity:
    if energy.value is None:
        return Quantity.unknown("W", energy.reason or "the energy is unknown")
    if covered_s <= 0:
        return Quantity.unknown("W", "the metered time is zero")
    return scaled(energy, kwh_to_joules(1.0) / covered_s, "W")


def _coverage(covered_s: float, expected_s: float) -> Quantity:
    if expected_s <= 0:
        return Quantity.unknown("1", "there was no time to meter")
    return Quantity.exact(min(covered_s / expected_s, 1.0), "1", "counter")


def _flags(
    charges: Sequence[Charge], components: Sequence[ComponentTag], coverage: Quantity
) -> tuple[str, ...]:
    flags = set(window_flags(charges))
    if not charges:
        flags.add("nothing_metered")
    if any(charge.energy_j is None and charge.expected_s > 0 for charge in charges):
        flags.add("component_missing")
    if coverage.value is not None and coverage.value < FULL_COVERAGE_RATIO:
        flags.add("incomplete_coverage")
    modelled = sum(c.share_ratio.value or 0.0 for c in components if c.method == "modelled")
    if modelled > MOSTLY_MODELLED_RATIO:
        flags.add("mostly_modelled")
    return tuple(sorted(flags))
