"""Facility energy, CO2e and cost of a run from its expected energy and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pricetag.accounting.bill.inputs import Factor, Factors, HourlyFactor
from pricetag.accounting.forecast.estimates import MOST_LOG_HALF
from pricetag.accounting.forecast.projection import Range
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.uncertainty import Z_95, log_sigma
from pricetag.accounting.units import grams_to_kg, seconds_to_hours

OWNED_AND_ELECTRICITY = "owned hardware and electricity"
OWNED = "owned hardware without electricity"
CLOUD = "cloud"
ELECTRICITY = "electricity alone"


@dataclass(frozen=True, slots=True)
class Rate:
    """Factor of an expected figure; its 95% interval is ``e**log_half`` either way."""

    value: float
    log_half: float

    def of(self, figure: Range) -> Range:
        """The product; the errors are independent factors."""
        value = figure.value * self.value
        if value <= 0:
            return Range(max(value, 0.0), 0.0, figure.high * self.value)
        up = math.hypot(math.log(figure.high / figure.value), self.log_half)
        high = value * math.exp(min(up, MOST_LOG_HALF))
        if figure.low <= 0:
            return Range(value, 0.0, high)
        down = math.hypot(math.log(figure.value / figure.low), self.log_half)
        return Range(value, value * math.exp(-min(down, MOST_LOG_HALF)), high)


@dataclass(frozen=True, slots=True)
class Rates:
    """The factors of a quote, as far as they are known when it is made.

    Attributes:
        pue: Facility energy over IT energy.
        carbon: kg CO2e per kWh of facility energy; None with ``carbon_reason``.
        per_kwh: Cost per kWh of facility energy, if the cost has such a part.
        per_s: Cost per second of the run's devices, if the cost has such a part.
        basis: Parts of the cost; None with ``cost_reason``.
        currency: Currency of the cost.
    """

    pue: Rate
    carbon: Rate | None
    carbon_reason: str | None
    per_kwh: Rate | None
    per_s: Rate | None
    basis: str | None
    cost_reason: str | None
    currency: str | None

    def as_dict(self) -> dict[str, Any]:
        """The rates as JSON data, which ``from_dict`` reads."""
        wire: dict[str, Any] = {
            name: None if rate is None else [rate.value, rate.log_half]
            for name, rate in (
                ("pue", self.pue),
                ("carbon", self.carbon),
                ("per_kwh", self.per_kwh),
                ("per_s", self.per_s),
            )
        }
        texts = ("carbon_reason", "basis", "cost_reason", "currency")
        return wire | {name: getattr(self, name) for name in texts}

    def facility_kwh(self, it_energy_kwh: Range) -> Range:
        """Facility energy, whose interval does not extend below that of IT energy."""
        facility = self.pue.of(it_energy_kwh)
        low, high = max(facility.low, it_energy_kwh.low), max(facility.high, it_energy_kwh.high)
        return Range(facility.value, low, high)

    @classmethod
    def from_dict(cls, wire: dict[str, Any]) -> Rates:
        """The rates from the result of ``as_dict``."""

        def rate(name: str) -> Rate | None:
            return None if wire[name] is None else Rate(*wire[name])

        return cls(
            pue=Rate(*wire["pue"]),
            carbon=rate("carbon"),
            carbon_reason=wire["carbon_reason"],
            per_kwh=rate("per_kwh"),
            per_s=rate("per_s"),
            basis=wire["basis"],
            cost_reason=wire["cost_reason"],
            currency=wire["currency"],
        )


def rates_of(factors: Factors, devices: int) -> Rates:
    """The rates of a run on N accelerators, with the priorities of a price tag's cost.

    Owned hardware with electricity if the site has its own price for it; otherwise the cloud
    price; otherwise the electricity alone.
    """
    carbon = _flat(factors.carbon_intensity, factors.carbon_hours)
    tariff = _flat(factors.electricity_tariff, factors.tariff_hours)
    per_kwh = None if tariff is None else _rate(tariff)
    per_s, basis, reason = None, None, None
    if devices and factors.internal_price is not None:
        per_s = _per_s(_rate(factors.internal_price), devices)
        basis = OWNED if tariff is None else OWNED_AND_ELECTRICITY
    elif devices and (price := _cloud(factors)) is not None:
        per_s, per_kwh, basis = _per_s(price, devices), None, CLOUD
    elif tariff is not None:
        basis = ELECTRICITY
    else:
        reason = "no tariff is known, and no price of these devices"
    return Rates(
        pue=_rate(factors.pue),
        carbon=None if carbon is None else _rate(carbon, grams_to_kg(1.0)),
        carbon_reason=None if carbon is not None else factors.carbon_intensity_reason,
        per_kwh=per_kwh,
        per_s=per_s,
        basis=basis,
        cost_reason=reason,
        currency=factors.currency if basis else None,
    )


def _flat(flat: Factor | None, hourly: HourlyFactor | None) -> Factor | None:
    """The constant factor, or else the mean of the hours, since a future run has no hours yet."""
    if flat is not None:
        return flat
    return None if hourly is None else hourly.factor


def _rate(factor: Factor, times: float = 1.0) -> Rate:
    return Rate(factor.value * times, Z_95 * log_sigma(factor.relative_std_ratio))


def _per_s(per_device_hour: Rate, devices: int) -> Rate:
    return Rate(per_device_hour.value * devices * seconds_to_hours(1.0), per_device_hour.log_half)


def _cloud(factors: Factors) -> Rate | None:
    """The middle between the low and the high price, like on a price tag."""
    low = factors.cloud_price_low or factors.cloud_price_high
    high = factors.cloud_price_high or factors.cloud_price_low
    if low is None or high is None:
        return None
    middle = (low.value + high.value) / 2
    if middle <= 0:
        return Rate(0.0, 0.0)
    ends = [math.log(high.value / middle), math.log(middle / low.value) if low.value > 0 else 0.0]
    return Rate(middle, max(ends))


def quantities(
    duration_s: Range | str, it_energy_kwh: Range | str, rates: Rates
) -> dict[str, Quantity]:
    """The five quantities of a quote or a projection.

    Args:
        duration_s: Duration of the run, or the reason why it is unknown.
        it_energy_kwh: IT energy of the run, or the reason why it is unknown.
        rates: The factors.
    """
    quantity_by_name = {
        "duration_s": _quantity(duration_s, "s"),
        "it_energy_kwh": _quantity(it_energy_kwh, "kWh"),
    }
    facility = (
        it_energy_kwh if isinstance(it_energy_kwh, str) else rates.facility_kwh(it_energy_kwh)
    )
    quantity_by_name["facility_energy_kwh"] = _quantity(facility, "kWh")
    if isinstance(facility, str) or rates.carbon is None:
        reason = facility if isinstance(facility, str) else rates.carbon_reason
        quantity_by_name["co2e_kg"] = Quantity.unknown(
            "kg", reason or "no carbon intensity is known"
        )
    else:
        quantity_by_name["co2e_kg"] = _quantity(rates.carbon.of(facility), "kg")
    quantity_by_name["cost"] = _cost(duration_s, facility, rates)
    return quantity_by_name


def _cost(duration_s: Range | str, facility_kwh: Range | str, rates: Rates) -> Quantity:
    unit = rates.currency or "money"
    if rates.basis is None:
        return Quantity.unknown(unit, rates.cost_reason or "no price is known")
    total = Range(0.0, 0.0, 0.0)
    for rate, figure in ((rates.per_kwh, facility_kwh), (rates.per_s, duration_s)):
        if rate is None:
            continue
        if isinstance(figure, str):
            return Quantity.unknown(unit, figure)
        total = total.plus(rate.of(figure))
    return _quantity(total, unit, rates.basis)


def _quantity(figure: Range | str, unit: str, remark: str | None = None) -> Quantity:
    if isinstance(figure, str):
        return Quantity.unknown(unit, figure)
    low, high = min(figure.low, figure.value), max(figure.high, figure.value)
    return Quantity(figure.value, low, high, unit, "estimated", remark)
