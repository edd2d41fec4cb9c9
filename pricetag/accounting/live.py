"""What a running attempt has used so far: the figures of its price tag to come, without intervals.

From two readings of each component, the first and the last, by the same rules as the bill's;
so this is cheap however long a job runs. It may differ from the bill where that needs all
readings: a counter that stood still for a while, activity that came and went with the power,
factors that change from hour to hour (here the mean of the hours since the start).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pricetag.accounting.energy import EnergyLedger, Reading
from pricetag.accounting.inputs import AttemptInput, ComponentInfo, Factor, Factors, HourlyFactor
from pricetag.accounting.reserved import device_hours, has_devices
from pricetag.accounting.units import G_PER_KG, joules_to_kwh


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """What an attempt has used so far; None where that is unknown."""

    it_energy_kwh: float | None
    facility_energy_kwh: float | None = None
    co2e_kg: float | None = None
    cost: float | None = None
    currency: str | None = None


def live_energy_j(first: Reading, last: Reading, component: ComponentInfo) -> float | None:
    """What an attempt is charged of a component between two readings, J; None when unknown."""
    ledger = EnergyLedger(
        [first, last],
        component.method,
        reserved_ratio=component.reserved_ratio,
        baseline_w=component.baseline_w,
        # Between the two lie others that the meter has integrated over.
        max_gap_s=math.inf,
    )
    return ledger.window(first.t_s, last.t_s).energy_j


def live_figures(
    attempt: AttemptInput, energy_j: Mapping[str, float | None], factors: Factors, now: datetime
) -> LiveFigures:
    """Energy, emissions and cost of an attempt so far.

    Args:
        attempt: With its length so far; its measurements are not looked at.
        energy_j: What it is charged of each component, J; None where that is unknown.
        factors: What its energy is multiplied with.
        now: The last hour whose factors count.
    """
    it_kwh = _it_kwh(energy_j, factors.calibrations)
    started_at = datetime.fromisoformat(attempt.started_at)
    hours = hours_between(started_at, now)
    facility_kwh = None if it_kwh is None else it_kwh * factors.pue.value
    intensity = _mean(factors.carbon_hours, factors.carbon_intensity, hours)
    known = facility_kwh is not None and intensity is not None
    cost = _cost(attempt, facility_kwh, factors, hours)
    return LiveFigures(
        it_energy_kwh=it_kwh,
        facility_energy_kwh=facility_kwh,
        co2e_kg=(facility_kwh or 0.0) * (intensity or 0.0) / G_PER_KG if known else None,
        cost=cost,
        currency=None if cost is None else factors.currency,
    )


def _it_kwh(
    energy_j: Mapping[str, float | None], calibrations: Mapping[str, Factor]
) -> float | None:
    known = [
        joules * (calibrations[component].value if component in calibrations else 1.0)
        for component, joules in energy_j.items()
        if joules is not None
    ]
    return joules_to_kwh(sum(known)) if known else None


def hours_between(start: datetime, end: datetime) -> tuple[str, ...]:
    """The UTC hours (ISO 8601) from one time to another, those of both included."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    found = [hour.isoformat()]
    while (hour := hour + timedelta(hours=1)) <= end:
        found.append(hour.isoformat())
    return tuple(found)


def _mean(
    by_hour: HourlyFactor | None, flat: Factor | None, hours: tuple[str, ...]
) -> float | None:
    """The mean of the hours' factors; hours without one take the flat one."""
    fallback = None if flat is None else flat.value
    if by_hour is None:
        return fallback
    values = [by_hour.by_hour.get(hour, fallback) for hour in hours]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else fallback


def _cost(
    attempt: AttemptInput, facility_kwh: float | None, factors: Factors, hours: tuple[str, ...]
) -> float | None:
    """As a price tag's total: owned hardware with electricity, else the cloud, else electricity."""
    tariff = _mean(factors.tariff_hours, factors.electricity_tariff, hours)
    paid = None if facility_kwh is None or tariff is None else facility_kwh * tariff
    if not has_devices([attempt]):
        return paid
    reserved_h = float(device_hours([attempt]))
    if factors.internal_price is not None:
        return reserved_h * factors.internal_price.value + (paid or 0.0)
    prices = [
        price.value
        for price in (factors.cloud_price_low, factors.cloud_price_high)
        if price is not None
    ]
    return reserved_h * sum(prices) / len(prices) if prices else paid
