"""Factors that are valid but implausible, mostly because of another unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pricetag.accounting.bill.charges import bounded_quantity
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.quantity.uncertainty import Z_95

CARBON_KINDS = frozenset({"carbon_location", "carbon_market"})
CARBON_G_PER_KWH = 1.0, 3_000.0
"""Lowest and highest carbon intensity of a grid that raises no question."""

MOST_PER_KWH: Mapping[str, float] = {
    **dict.fromkeys(("EUR", "USD", "GBP", "CHF", "CAD", "AUD", "NZD", "SGD"), 5.0)
}
"""Highest price of a kWh that raises no question, by currency; other currencies have none.

The most expensive household tariffs are below one euro a kWh: a price above 5 is in cents.
"""

USUAL_PUE_STD = 0.1
"""Largest relative error of a PUE that raises no question."""


def doubts(
    kind: str,
    value: float,
    relative_std_ratio: float,
    unit: str,
    *,
    multiplicative: bool = False,
    details: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Warnings about a factor that may be in another unit than the user thinks.

    Args:
        kind: Kind of the factor.
        value: Its value in ``unit``.
        relative_std_ratio: Its relative error, one sigma.
        unit: Its unit, e.g. g/kWh or EUR/kWh.
        multiplicative: Whether the error is a multiplicative factor.
        details: Its details, such as the periods of a tariff.
    """
    if kind in CARBON_KINDS:
        yield from _carbon(kind, value)
    elif kind == "tariff":
        currency = unit.partition("/")[0]
        yield from _tariff([value, *_prices(details)], currency)
    elif kind == "pue" and not multiplicative:
        yield from _pue(value, relative_std_ratio)


def _carbon(kind: str, value: float) -> Iterator[str]:
    low, high = CARBON_G_PER_KWH
    if kind == "carbon_market" and value == 0:  # electricity from renewable sources alone
        return
    if value < low:
        meant = f"; {value:g} kg/kWh is {value * 1000:g} g/kWh" if value > 0 else ""
        yield f"value: {value:g} g/kWh is implausibly low; the unit is grams per kWh{meant}"
    elif value > high:
        yield f"value: {value:g} g/kWh is implausibly high; the unit is grams per kWh"


def _tariff(prices: Sequence[float], currency: str) -> Iterator[str]:
    limit = MOST_PER_KWH.get(currency)
    price = max(prices)
    if limit is not None and price > limit:
        yield (
            f"value: {price:g} {currency}/kWh is implausibly high; the unit is {currency} per "
            f"kWh, and {price:g} cents are {price / 100:g} {currency}"
        )


def _prices(details: Mapping[str, Any] | None) -> list[float]:
    return [float(period["price"]) for period in (details or {}).get("periods", ())]


def _pue(value: float, ratio: float) -> Iterator[str]:
    lower = value - Z_95 * ratio * value
    if lower < 1 and ratio > USUAL_PUE_STD:
        used = bounded_quantity(Factor(value, "1", ratio, "assumed", "as entered"), 1.0)
        yield (
            f"relative_std_ratio: {ratio:g} would give a 95% interval down to {lower:.2f}, but a "
            f"PUE is at least 1: {used.low:.2f} to {used.high:.2f} is used"
        )
