"""Estimated price of unmetered work: power x hours x factors."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from decimal import Decimal

from pricetag.accounting.bill.amounts import Number, amount, device_hours_cost
from pricetag.accounting.bill.carbon import facility_energy_kwh, operational_co2e_kg
from pricetag.accounting.quantity.checks import (
    Faults,
    InvalidFactor,
    InvalidFigures,
    require_count,
    require_number,
    require_pue,
)
from pricetag.accounting.units import kg_to_lb, power_to_kwh

__all__ = ["Estimate", "InvalidFactor", "InvalidFigures", "estimate"]

# Far above any real installation, and small enough that no product overflows.
MOST_DEVICES = 10**9
MOST_POWER_W = 1e12
MOST_HOURS = 1e9
MOST_G_PER_KWH = 1e6


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated energy, emissions and cost of work.

    Attributes:
        it_energy_kwh: Energy of the devices.
        facility_energy_kwh: IT energy x PUE.
        co2e_kg: Emissions of the facility energy.
        co2e_lb: The same emissions in pounds.
        cost_low: Device-hours at the low price; None without prices.
        cost_high: Device-hours at the high price; None without prices.
        currency: Currency of the costs; None without prices.
    """

    it_energy_kwh: float
    facility_energy_kwh: float
    co2e_kg: float
    co2e_lb: float
    cost_low: Decimal | None
    cost_high: Decimal | None
    currency: str | None


def estimate(
    devices: int,
    device_power_w: float,
    hours: float,
    pue: float,
    grid_g_per_kwh: float,
    price_low: Number | None = None,
    price_high: Number | None = None,
    *,
    price_devices: int | None = None,
    currency: str = "USD",
) -> Estimate:
    """Estimate energy, emissions and cost of devices that draw a given power for some hours.

    Args:
        devices: Number of devices.
        device_power_w: Mean power of one device. If a published power is already the sum over
            all devices (Strubell et al.), use it with ``devices=1`` and ``price_devices``.
        hours: Duration in hours.
        pue: Power usage effectiveness.
        grid_g_per_kwh: Carbon intensity of the grid, g CO2e/kWh.
        price_low: Low price of a device-hour; by default the high price.
        price_high: High price of a device-hour; by default the low price.
        price_devices: Number of paid devices; by default ``devices``.
        currency: Currency of the prices.

    Raises:
        InvalidFigures: If figures are negative or not finite, or the PUE is below 1; lists the
            field of each.

    Source:
        Strubell et al. 2019, section 2: kWh = PUE · t · p / 1000.
    """
    faults = Faults()
    number = functools.partial(_number, faults)
    count = _count(faults, "devices", devices)
    power = number("device_power_w", device_power_w, MOST_POWER_W)
    duration = number("hours", hours, MOST_HOURS)
    overhead = faults.within(lambda: require_pue("pue", pue), 1.0)
    intensity = number("grid_g_per_kwh", grid_g_per_kwh, MOST_G_PER_KWH)
    paid = count if price_devices is None else _count(faults, "price_devices", price_devices)
    prices = faults.within(lambda: _prices(price_low, price_high), None)
    faults.within(lambda: _require_currency(currency), None)
    faults.raise_any()
    it_kwh = power_to_kwh(count * power, duration)
    facility_kwh = facility_energy_kwh(it_kwh, overhead)
    co2e_kg = operational_co2e_kg(facility_kwh, intensity)
    low, high = (None, None) if prices is None else _cost(paid, duration, *prices)
    return Estimate(
        it_energy_kwh=it_kwh,
        facility_energy_kwh=facility_kwh,
        co2e_kg=co2e_kg,
        co2e_lb=kg_to_lb(co2e_kg),
        cost_low=low,
        cost_high=high,
        currency=None if low is None else currency,
    )


def _count(faults: Faults, field: str, value: int) -> int:
    return faults.within(lambda: require_count(field, value, at_most=MOST_DEVICES), 1)


def _number(faults: Faults, field: str, value: float, at_most: float) -> float:
    return faults.within(lambda: require_number(field, value, at_most=at_most), 0.0)


def _require_currency(currency: str) -> None:
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise InvalidFactor("currency", currency, "three capital letters as in ISO 4217, like USD")


def _prices(low: Number | None, high: Number | None) -> tuple[Decimal, Decimal] | None:
    """Low and high price; a single price is both; None without prices.

    Raises:
        InvalidFigures: If a price is not an amount, or the low price is above the high one.
    """
    faults = Faults()
    checked_prices = [
        faults.within(functools.partial(amount, field, price), None)
        for field, price in (("price_low", low), ("price_high", high))
        if price is not None
    ]
    faults.raise_any()
    prices = [price for price in checked_prices if price is not None]
    if not prices:
        return None
    if prices[0] > prices[-1]:
        expected = f"a price that is not above the high price, {prices[-1]}"
        raise InvalidFactor("price_low", low, expected)
    return prices[0], prices[-1]


def _cost(devices: int, hours: float, low: Decimal, high: Decimal) -> tuple[Decimal, Decimal]:
    cost = device_hours_cost(devices * amount("hours", hours), low, high)
    return cost.low, cost.high
