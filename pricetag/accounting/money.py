"""What a run costs: its device-hours at cloud prices, its energy at the site's tariff."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from pricetag.accounting.bill import Biller
from pricetag.accounting.charges import Charge
from pricetag.accounting.checks import InvalidFactor
from pricetag.accounting.cost import device_hours_cost, electricity_cost
from pricetag.accounting.inputs import AttemptInput, Factors
from pricetag.accounting.quantity import Quantity, weakest
from pricetag.accounting.tag import CostTag
from pricetag.accounting.units import S_PER_H


def run_cost(
    biller: Biller, factors: Factors, attempts: Sequence[AttemptInput], charges: Sequence[Charge]
) -> CostTag:
    """Cloud cost (low to high) and electricity of all attempts.

    Raises:
        InvalidFactor: If a price or tariff is given without a currency.
    """
    priced = (factors.cloud_price_low, factors.cloud_price_high, factors.electricity_tariff)
    if factors.currency is None and any(price is not None for price in priced):
        raise InvalidFactor("currency", None, "the ISO 4217 code of the prices, such as USD")
    unit = factors.currency or "money"
    return CostTag(
        cloud=_cloud(factors, attempts, unit),
        electricity=_electricity(biller, factors, charges, unit),
        currency=factors.currency,
    )


def device_count(attempt: AttemptInput) -> int:
    """Accelerators reserved for an attempt; when none are named, those that were metered."""
    metered = sum(1 for component in attempt.components if component.kind == "gpu")
    return len(attempt.devices) or metered


def _cloud(factors: Factors, attempts: Sequence[AttemptInput], unit: str) -> Quantity:
    low = factors.cloud_price_low or factors.cloud_price_high
    high = factors.cloud_price_high or factors.cloud_price_low
    if not any(device_count(attempt) for attempt in attempts):
        return Quantity.unknown(unit, "no accelerator was reserved, and prices are per accelerator")
    if low is None or high is None:
        return Quantity.unknown(unit, "no price of a device-hour is known for this hardware")
    device_hours = sum(
        (
            device_count(attempt) * Decimal(str(attempt.duration_s)) / Decimal(S_PER_H)
            for attempt in attempts
            if attempt.duration_s is not None
        ),
        start=Decimal(0),
    )
    cost = device_hours_cost(device_hours, low.value, high.value)
    source = weakest(low.source, high.source)
    remark = "device-hours at the low and at the high price; the value is half-way"
    bounds = float(cost.low), float(cost.high)
    middle = min(max(float(cost.middle), bounds[0]), bounds[1])
    return Quantity(middle, *bounds, unit, source, remark)


def _electricity(
    biller: Biller, factors: Factors, charges: Sequence[Charge], unit: str
) -> Quantity:
    tariff = factors.electricity_tariff
    if tariff is None:
        return Quantity.unknown(unit, "no electricity tariff is configured")
    facility = biller.facility_kwh(charges)
    paid = biller.facility_kwh(charges, ("tariff", tariff))
    if facility.value is None or paid.low is None or paid.high is None:
        return Quantity.unknown(unit, facility.reason or "the energy is unknown")
    value = float(electricity_cost(facility.value, tariff.value))
    return Quantity(value, min(paid.low, value), max(paid.high, value), unit, paid.source)
