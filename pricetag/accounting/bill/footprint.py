"""Market-based and embodied carbon, their sum, and water, of an attempt or a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pricetag.accounting.bill.bill import Biller
from pricetag.accounting.bill.charges import Charge, scaled, total
from pricetag.accounting.bill.cost import sum_of_two
from pricetag.accounting.bill.embodied import embodied_kg
from pricetag.accounting.bill.figures import FootprintTag
from pricetag.accounting.bill.inputs import AttemptInput, Factor, Factors
from pricetag.accounting.bill.rates import Rate
from pricetag.accounting.bill.water import water_l_per_kwh
from pricetag.accounting.quantity.quantity import Quantity, weakest
from pricetag.accounting.units import G_PER_KG


def footprint(
    biller: Biller, attempts: Sequence[AttemptInput], charges: Sequence[Charge], co2e: Quantity
) -> FootprintTag:
    """Market-based carbon, water, embodied carbon, and total (operational + embodied) carbon.

    Args:
        biller: Biller with the factors.
        attempts: The attempts, with their reserved devices.
        charges: Their charges.
        co2e: Their operational emissions (location-based), in kg.
    """
    embodied = embodied_kg(biller.factors.embodied, attempts, seed=biller.seed)
    return FootprintTag(
        co2e_market_kg=_market_kg(biller, charges),
        water_l=_water_l(biller, charges),
        embodied_co2e_kg=embodied,
        co2e_total_kg=_total_kg(co2e, embodied),
    )


def _market_kg(biller: Biller, charges: Sequence[Charge]) -> Quantity:
    market = biller.factors.carbon_market
    if market is None:
        return Quantity.unknown("kg", "no market-based figure of the site's contracts is known")
    grams = biller.times(charges, Rate("carbon_market", market), "g")
    return scaled(grams, 1 / G_PER_KG, "kg")


def _water_l(biller: Biller, charges: Sequence[Charge]) -> Quantity:
    missing = [
        name
        for name, factor in (
            ("water usage effectiveness of the site", biller.factors.wue),
            ("water intensity of the electricity", biller.factors.water_intensity),
        )
        if factor is None
    ]
    per_kwh = water_per_kwh(biller.factors)
    if per_kwh is None:
        return Quantity.unknown("l", f"no {' and no '.join(missing)} is known")
    return total(charges, [Rate("water", per_kwh)], unit="l", seed=biller.seed)


def water_per_kwh(factors: Factors) -> Factor | None:
    """Liters of water per kWh of IT energy, with the error of three factors to first order.

    Source:
        Li et al. 2023, "Making AI Less Thirsty": WUE + PUE x EWIF.
    """
    wue, intensity, pue = factors.wue, factors.water_intensity, factors.pue
    if wue is None or intensity is None:
        return None
    on_site, off_site = water_l_per_kwh(wue.value, pue.value, intensity.value)
    value = on_site + off_site
    if value > 0:
        remote = off_site / value * math.hypot(pue.relative_std_ratio, intensity.relative_std_ratio)
        std_ratio = math.hypot(on_site / value * wue.relative_std_ratio, remote)
    else:
        std_ratio = 0.0
    return Factor(
        value=value,
        unit="l/kWh",
        relative_std_ratio=std_ratio,
        source=weakest(wue.source, intensity.source, pue.source),
        citation="WUE + PUE x water intensity",
        multiplicative=wue.multiplicative or intensity.multiplicative,
    )


def _total_kg(operational: Quantity, embodied: Quantity) -> Quantity:
    for name, part in (("operational", operational), ("embodied", embodied)):
        if part.value is None:
            return Quantity.unknown("kg", f"the {name} part is unknown: {part.reason}")
    return sum_of_two(operational, embodied)
