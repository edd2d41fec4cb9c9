"""The price of work that was not metered: power x hours x factors."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pricetag.accounting.carbon import facility_energy_kwh, operational_co2e_kg
from pricetag.accounting.checks import (
    InvalidFactor,
    require_count,
    require_number,
    require_pue,
)
from pricetag.accounting.cost import Number, amount, device_hours_cost
from pricetag.accounting.units import kg_to_lb, power_to_kwh

__all__ = ["Estimate", "InvalidFactor", "estimate"]

# Far beyond anything built, near enough that no product of them overflows.
MOST_DEVICES = 10**9
MOST_POWER_W = 1e12
MOST_HOURS = 1e9
MOST_G_PER_KWH = 1e6


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the work would use, emit and cost.

    Attributes:
        it_energy_kwh: Energy of the devices.
        facility_energy_kwh: The same x PUE.
        co2e_kg: Emissions of the facility's energy.
        co2e_lb: The same in pounds.
        cost_low: Device-hours at the low price; None without prices.
        cost_high: Device-hours at the high price; None without prices.
        currency: Of the costs; None without prices.
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
    price_low_per_device_hour: Number | None = None,
    price_high_per_device_hour: Number | None = None,
    *,
    price_devices: int | None = None,
    currency: str = "USD",
) -> Estimate:
    """Estimate energy, emissions and cost of devices that draw a power for some hours.

    Args:
        devices: Number of devices.
        device_power_w: Mean power of one. Where a published power already sums all devices
            (Strubell et al.), give it with ``devices=1`` and ``price_devices``.
        hours: For how long.
        pue: Power usage effectiveness.
        grid_g_per_kwh: Carbon intensity of the grid, g CO2e/kWh.
        price_low_per_device_hour: Low price of a device-hour; alone it is the high one too.
        price_high_per_device_hour: High price of a device-hour; alone it is the low one too.
        price_devices: Number of devices that are paid for, ``devices`` if not given.
        currency: Of the prices.

    Raises:
        InvalidFactor: If a figure is negative, not finite, or a PUE below 1; it names the
            field.

    Source:
        Strubell et al. 2019, section 2: kWh = PUE · t · p / 1000.
    """
    count = require_count("devices", devices, at_most=MOST_DEVICES)
    power = require_number("device_power_w", device_power_w, at_most=MOST_POWER_W)
    duration = require_number("hours", hours, at_most=MOST_HOURS)
    it_kwh = power_to_kwh(count * power, duration)
    facility_kwh = facility_energy_kwh(it_kwh, require_pue("pue", pue))
    intensity = require_number("grid_g_per_kwh", grid_g_per_kwh, at_most=MOST_G_PER_KWH)
    co2e_kg = operational_co2e_kg(facility_kwh, intensity)
    paid = count
    if price_devices is not None:
        paid = require_count("price_devices", price_devices, at_most=MOST_DEVICES)
    low, high = _cost(paid, duration, price_low_per_device_hour, price_high_per_device_hour)
    return Estimate(
        it_energy_kwh=it_kwh,
        facility_energy_kwh=facility_kwh,
        co2e_kg=co2e_kg,
        co2e_lb=kg_to_lb(co2e_kg),
        cost_low=low,
        cost_high=high,
        currency=None if low is None else currency,
    )


def _cost(
    devices: int, hours: float, low: Number | None, high: Number | None
) -> tuple[Decimal | None, Decimal | None]:
    if low is None and high is None:
        return None, None
    first = high if low is None else low
    last = low if high is None else high
    assert first is not None  # one of the two was given
    assert last is not None
    cost = device_hours_cost(devices * amount("hours", hours), first, last)
    return cost.low, cost.high
