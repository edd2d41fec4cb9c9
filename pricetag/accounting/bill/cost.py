"""Cost of a run: rented or owned device-hours, and its energy at the site's tariff."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pricetag.accounting.bill.amounts import amount, device_hours_cost
from pricetag.accounting.bill.bill import Biller
from pricetag.accounting.bill.charges import Charge
from pricetag.accounting.bill.figures import CostTag
from pricetag.accounting.bill.inputs import AttemptInput, Factors
from pricetag.accounting.bill.rates import Rate
from pricetag.accounting.bill.reserved import device_hours, has_devices
from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.quantity.error_terms import ErrorTerm
from pricetag.accounting.quantity.quantity import Quantity, weakest
from pricetag.accounting.quantity.uncertainty import Z_95

OWNED_AND_ELECTRICITY = "owned hardware and electricity"
OWNED = "owned hardware without electricity"
CLOUD = "cloud"
ELECTRICITY = "electricity alone"
NO_DEVICE = "no accelerator was reserved, and prices are per accelerator"


def cost_of(biller: Biller, attempts: Sequence[AttemptInput], charges: Sequence[Charge]) -> CostTag:
    """Cost of attempts in the cloud (low to high), for owned hardware and for electricity.

    The total is owned hardware with electricity if the site has its own price, otherwise
    the cloud price, otherwise the electricity alone.

    Raises:
        InvalidFactor: If a price or tariff has no currency.
    """
    unit = _currency(biller.factors)
    cloud = _cloud(biller.factors, attempts, unit)
    electricity = _electricity(biller, charges, unit)
    owned = _owned(biller.factors, attempts, unit)
    total, basis = _total(cloud, electricity, owned)
    return CostTag(cloud, electricity, owned, total, basis, biller.factors.currency)


def cost_error_terms(biller: Biller, cost: CostTag, charges: Sequence[Charge]) -> list[ErrorTerm]:
    """The error terms of the total, one sigma each, in its currency."""
    if cost.basis == CLOUD:
        low, high = cost.cloud.low or 0.0, cost.cloud.high or 0.0
        # All prices in the range are equally likely: a uniform distribution.
        return [ErrorTerm("range of the cloud's prices", (high - low) / math.sqrt(12))]
    terms: list[ErrorTerm] = []
    tariff = _tariff(biller.factors)
    if cost.basis in (OWNED_AND_ELECTRICITY, ELECTRICITY) and tariff is not None:
        paid = biller.products(charges, tariff)
        terms += [] if paid is None else paid.error_terms()
    price = biller.factors.internal_price
    if cost.basis in (OWNED_AND_ELECTRICITY, OWNED) and price is not None:
        std = (cost.owned_hardware.value or 0.0) * price.relative_std_ratio
        terms.append(ErrorTerm("price of the owned hardware", std))
    return [term for term in terms if term.std > 0]


def _currency(factors: Factors) -> str:
    priced = (
        factors.cloud_price_low,
        factors.cloud_price_high,
        factors.electricity_tariff,
        factors.tariff_hours,
        factors.internal_price,
    )
    if factors.currency is None and any(price is not None for price in priced):
        raise InvalidFactor("currency", None, "the ISO 4217 code of the prices, such as USD")
    return factors.currency or "money"


def _cloud(factors: Factors, attempts: Sequence[AttemptInput], unit: str) -> Quantity:
    low = factors.cloud_price_low or factors.cloud_price_high
    high = factors.cloud_price_high or factors.cloud_price_low
    if not has_devices(attempts):
        return Quantity.unknown(unit, NO_DEVICE)
    if low is None or high is None:
        return Quantity.unknown(unit, factors.cloud_price_reason)
    cost = device_hours_cost(device_hours(attempts), low.value, high.value)
    source = weakest(low.source, high.source)
    remark = "device-hours at the low and at the high price; the value is half-way"
    bounds = float(cost.low), float(cost.high)
    middle = min(max(float(cost.middle), bounds[0]), bounds[1])
    return Quantity(middle, *bounds, unit, source, remark)


def _owned(factors: Factors, attempts: Sequence[AttemptInput], unit: str) -> Quantity:
    price = factors.internal_price
    if not has_devices(attempts):
        return Quantity.unknown(unit, NO_DEVICE)
    if price is None:
        return Quantity.unknown(unit, factors.internal_price_reason)
    value = float(device_hours(attempts) * amount("internal_price", price.value))
    half = Z_95 * price.relative_std_ratio * value
    return Quantity(value, max(value - half, 0.0), value + half, unit, price.source)


def _tariff(factors: Factors) -> Rate | None:
    if factors.electricity_tariff is None and factors.tariff_hours is None:
        return None
    return Rate("tariff", factors.electricity_tariff, factors.tariff_hours)


def _electricity(biller: Biller, charges: Sequence[Charge], unit: str) -> Quantity:
    tariff = _tariff(biller.factors)
    if tariff is None:
        return Quantity.unknown(unit, biller.factors.electricity_reason)
    return biller.times(charges, tariff, unit)


def _total(cloud: Quantity, electricity: Quantity, owned: Quantity) -> tuple[Quantity, str | None]:
    if owned.value is not None:
        if electricity.value is None:
            return _remarked(owned, f"without electricity: {electricity.reason}"), OWNED
        return sum_of_two(owned, electricity), OWNED_AND_ELECTRICITY
    if cloud.value is not None:
        return cloud, CLOUD
    if electricity.value is not None:
        return _remarked(electricity, f"without hardware: {owned.reason}"), ELECTRICITY
    reasons = dict.fromkeys(q.reason for q in (owned, cloud, electricity) if q.reason)
    return Quantity.unknown(electricity.unit, "; ".join(reasons)), None


def _remarked(quantity: Quantity, reason: str) -> Quantity:
    return Quantity(
        quantity.value, quantity.low, quantity.high, quantity.unit, quantity.source, reason
    )


def sum_of_two(first: Quantity, second: Quantity) -> Quantity:
    """The sum of two known quantities whose errors are independent.

    The sides of the two intervals are added in quadrature, to first order.

    Source:
        JCGM 100:2008 (GUM), 5.1.2, applied to either side of an asymmetric interval.
    """
    pairs = [(q.value, q.low, q.high, q.source) for q in (first, second)]
    below = above = value = 0.0
    sources = []
    for middle, low, high, source in pairs:
        if middle is None or low is None or high is None or source is None:
            raise ValueError("the sum of an unknown quantity is unknown")
        value += middle
        below, above = math.hypot(below, middle - low), math.hypot(above, high - middle)
        sources.append(source)
    return Quantity(value, max(value - below, 0.0), value + above, first.unit, weakest(*sources))
