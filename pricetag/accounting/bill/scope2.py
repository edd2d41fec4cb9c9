"""Scope 2 emissions of the energy that nodes used, by location and by market."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pricetag.accounting.bill.carbon import facility_energy_kwh, operational_co2e_kg
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.bill.node_account import SOURCES, Entry, error_of
from pricetag.accounting.bill.rates import bounded
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.quantity.uncertainty import (
    Multiplier,
    Sampled,
    combine,
    sampled,
    terms_of,
)
from pricetag.accounting.units import joules_to_kwh

NOTHING_METERED = "nothing was metered in this time"
NO_CONTRACT = "no market-based intensity of the site's contracts is entered"
LEAST_PUE = 1.0


@dataclass(frozen=True, slots=True)
class Scope2:
    """Energy and emissions of one site in one period.

    Attributes:
        facility_energy_kwh: IT energy x PUE, kWh.
        location_kg: Facility energy x the grid's intensity, kg CO2e.
        market_kg: Facility energy x the intensity of the contracts, kg CO2e.
    """

    facility_energy_kwh: Quantity
    location_kg: Quantity
    market_kg: Quantity


def scope2(
    entries: Sequence[Entry],
    pue: Factor,
    location: Factor,
    market: Factor | None,
    *,
    seed: int = 0,
    ends_of: Sampled = sampled,
) -> Scope2:
    """Emissions of some entries of the account, idle energy included.

    Args:
        entries: The energy, by product.
        pue: Power usage effectiveness of the site.
        location: Carbon intensity of its grid, g/kWh.
        market: Carbon intensity of its contracts, g/kWh; None if unknown.
        seed: Seed of the Monte Carlo simulation.
        ends_of: Finds the quantiles of the simulation, equal to those of ``sampled``.

    Source:
        GHG Protocol Scope 2 Guidance (2015): both methods are reported.
    """
    facility = _product(entries, [("pue", pue)], "kWh", seed, ends_of)
    factors = [("pue", pue), ("carbon_intensity", location)]
    location_kg = _product(entries, factors, "kg", seed, ends_of)
    if market is None:
        return Scope2(facility, location_kg, Quantity.unknown("kg", NO_CONTRACT))
    factors = [("pue", pue), ("carbon_market", market)]
    return Scope2(facility, location_kg, _product(entries, factors, "kg", seed, ends_of))


def _product(
    entries: Sequence[Entry],
    factors: Sequence[tuple[str, Factor]],
    unit: str,
    seed: int,
    ends_of: Sampled,
) -> Quantity:
    if not entries:
        return Quantity.unknown(unit, NOTHING_METERED)
    values = [_times(joules_to_kwh(entry.total_j), factors) for entry in entries]
    errors = [
        error_of(entry.kind, entry.name, entry.method, entry.gain_std_ratio) for entry in entries
    ]
    multipliers = [_multiplier(name, factor) for name, factor in factors]
    ends = combine(terms_of(errors, values), multipliers, seed=seed, ends_of=ends_of)
    sources: list[Source] = [SOURCES[entry.method] for entry in entries if entry.total_j]
    sources += [factor.source for _, factor in factors]
    total = sum(values)
    return Quantity(total, min(ends.low, total), max(ends.high, total), unit, weakest(*sources))


def _times(it_energy_kwh: float, factors: Sequence[tuple[str, Factor]]) -> float:
    facility = facility_energy_kwh(it_energy_kwh, factors[0][1].value)
    return facility if len(factors) == 1 else operational_co2e_kg(facility, factors[1][1].value)


def _multiplier(name: str, factor: Factor) -> Multiplier:
    if name == "pue":
        return bounded(name, factor, LEAST_PUE)
    return Multiplier(name, factor.relative_std_ratio, factor.multiplicative)


def added(parts: Sequence[Quantity], unit: str) -> Quantity:
    """A sum whose parts have common errors: of the same factors, so that their ends add up.

    Args:
        parts: Quantities in one unit; if one is unknown, so is the sum.
        unit: Their unit.
    """
    if not parts:
        return Quantity.unknown(unit, NOTHING_METERED)
    for part in parts:
        if part.value is None:
            return Quantity.unknown(unit, part.reason or NOTHING_METERED)
    value, low, high = (
        sum(end for end in ends if end is not None)
        for ends in zip(*((part.value, part.low, part.high) for part in parts), strict=True)
    )
    sources = [part.source for part in parts if part.source is not None]
    return Quantity(value, min(low, value), max(high, value), unit, weakest(*sources))
