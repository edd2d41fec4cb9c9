"""Figures of a running attempt so far: those of its later price tag, without intervals.

Readings are charged as they arrive, by the rules of the bill, so that the charge so far is known
at once however long a job runs. It differs from the bill where the bill uses all readings
together: by a part of a counter's update at the edges of stages, and by the weights of factors
that change from hour to hour (here, all hours since the start have equal weight).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from pricetag.accounting.bill.inputs import AttemptInput, Factor, Factors, HourlyFactor
from pricetag.accounting.bill.reserved import device_hours, has_devices
from pricetag.accounting.readings.alignment import LATE_TICK, TICK
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.hours import hour_spans
from pricetag.accounting.readings.ledger import MAX_GAP_S, EnergyLedger, Reading
from pricetag.accounting.units import G_PER_KG, joules_to_kwh


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """Usage of an attempt so far; None for unknown figures."""

    it_energy_kwh: float | None
    facility_energy_kwh: float | None = None
    co2e_kg: float | None = None
    cost: float | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class LiveHour:
    """Charge of an attempt for one component in one hour, up to the last reading.

    Attributes:
        energy_j: Energy charged so far, J.
        covered_s: Metered part of the hour, s.
        settled_j: Part of the energy that later readings cannot change, J.
        settled_s: Part of the time that later readings cannot change, s.
    """

    energy_j: float = 0.0
    covered_s: float = 0.0
    settled_j: float = 0.0
    settled_s: float = 0.0

    def plus(self, energy_j: float, covered_s: float, *, settled: bool) -> LiveHour:
        """The hour after another part of it was metered."""
        more = replace(
            self, energy_j=self.energy_j + energy_j, covered_s=self.covered_s + covered_s
        )
        return replace(more, settled_j=more.energy_j, settled_s=more.covered_s) if settled else more


@dataclass(frozen=True, slots=True)
class LiveCharge:
    """Charge of an attempt for one component, up to the last reading.

    Attributes:
        energy_j: Energy charged so far, J; None while unknown.
        settled_j: Part of it up to ``anchor``, which later readings cannot change.
        anchor: The last reading at which the counter moved. While the counter does not move,
            the next readings decide whether it was frozen, and how that time is booked.
        last: The last reading.
        hours: The hours (ISO 8601, UTC) that the last readings changed; earlier hours are final.
    """

    energy_j: float | None = None
    settled_j: float | None = None
    anchor: Reading | None = None
    last: Reading | None = None
    hours: Mapping[str, LiveHour] = field(default_factory=dict)


def advance(
    charge: LiveCharge,
    readings: Sequence[Reading],
    component: Component,
    opened_at: datetime,
) -> LiveCharge:
    """The charge after further readings, in order of time.

    Args:
        charge: The charge before these readings.
        readings: The new readings.
        component: Their component.
        opened_at: Zero of their clock, with a time zone.

    Raises:
        ValueError: If the component's reserved part or its baseline is impossible, or
            ``opened_at`` has no time zone.
    """
    carried_readings = (
        [charge.anchor] if charge.anchor == charge.last else [charge.anchor, charge.last]
    )
    trace = [reading for reading in carried_readings if reading is not None]
    trace += [_unaligned(reading) for reading in readings]
    if not trace:
        return charge
    ledger = EnergyLedger.of(
        component,
        trace,
        # There were other readings between the anchor of a counter at rest and the last one.
        max_gap_s=math.inf if len(carried_readings) > 1 else MAX_GAP_S,
    )
    anchor = _anchor(trace, component)
    first_s, anchor_s, last_s = trace[0].t_s, anchor.t_s, trace[-1].t_s
    settled_j = _plus(charge.settled_j, ledger, first_s, anchor_s)
    energy_j = _plus(settled_j, ledger, anchor_s, last_s)
    hours = _still_open(charge.hours, opened_at, first_s)
    for start_s, end_s, settled in ((first_s, anchor_s, True), (anchor_s, last_s, False)):
        for span in hour_spans(opened_at, start_s, end_s):
            window = ledger.window(span.start_s, span.end_s)
            if window.energy_j is not None:
                before = hours.get(span.key, LiveHour())
                hours[span.key] = before.plus(window.energy_j, window.covered_s, settled=settled)
    return LiveCharge(energy_j, settled_j, anchor, trace[-1], hours)


def _still_open(
    hours: Mapping[str, LiveHour], opened_at: datetime, from_s: float
) -> dict[str, LiveHour]:
    """The settled part of the hours that readings after ``from_s`` may change."""
    first = (opened_at.astimezone(UTC) + timedelta(seconds=from_s)).replace(
        minute=0, second=0, microsecond=0
    )
    return {
        key: LiveHour(hour.settled_j, hour.settled_s, hour.settled_j, hour.settled_s)
        for key, hour in hours.items()
        if key >= first.isoformat()
    }


def _unaligned(reading: Reading) -> Reading:
    """The reading without marks of counter updates, which need the readings on both sides."""
    if TICK not in reading.flags and LATE_TICK not in reading.flags:
        return reading
    flags = tuple(flag for flag in reading.flags if flag not in (TICK, LATE_TICK))
    return replace(reading, flags=flags)


def _anchor(trace: Sequence[Reading], component: Component) -> Reading:
    if component.method != "counter":
        return trace[-1]
    moved = [
        after
        for before, after in pairwise(trace)
        if after.counter_j is None or after.counter_j != before.counter_j
    ]
    return moved[-1] if moved else trace[0]


def _plus(
    energy_j: float | None, ledger: EnergyLedger, start_s: float, end_s: float
) -> float | None:
    if end_s <= start_s:
        return energy_j
    more_j = ledger.window(start_s, end_s).energy_j
    return energy_j if more_j is None else (energy_j or 0.0) + more_j


@dataclass(frozen=True, slots=True)
class LiveRates:
    """Factors of the hours since an attempt started, each hour with equal weight.

    Attributes:
        intensity: Carbon intensity, g/kWh; None if unknown.
        tariff: Price of a kWh; None if unknown.
    """

    intensity: float | None
    tariff: float | None


def live_rates(factors: Factors, started_at: datetime, now: datetime) -> LiveRates:
    """The rates of every attempt that started in the same hour.

    Args:
        factors: Factors to apply.
        started_at: Start of an attempt.
        now: The last hour of the factors.
    """
    hours = hours_between(started_at, now)
    return LiveRates(
        intensity=_mean(factors.carbon_hours, factors.carbon_intensity, hours),
        tariff=_mean(factors.tariff_hours, factors.electricity_tariff, hours),
    )


def live_figures(
    attempt: AttemptInput,
    energy_j: Mapping[str, float | None],
    factors: Factors,
    rates: LiveRates,
) -> LiveFigures:
    """Energy, emissions and cost of an attempt so far.

    Args:
        attempt: The attempt with its duration so far; its measurements are ignored.
        energy_j: Its charge for each component, J; None if unknown.
        factors: Factors to apply.
        rates: Rates of its hours, from :func:`live_rates`.
    """
    it_kwh = _it_kwh(energy_j, factors.calibrations)
    facility_kwh = None if it_kwh is None else it_kwh * factors.pue.value
    is_known = facility_kwh is not None and rates.intensity is not None
    cost = _cost(attempt, facility_kwh, factors, rates.tariff)
    return LiveFigures(
        it_energy_kwh=it_kwh,
        facility_energy_kwh=facility_kwh,
        co2e_kg=(facility_kwh or 0.0) * (rates.intensity or 0.0) / G_PER_KG if is_known else None,
        cost=cost,
        currency=None if cost is None else factors.currency,
    )


def _it_kwh(
    energy_j: Mapping[str, float | None], calibrations: Mapping[str, Factor]
) -> float | None:
    energies_j = [
        joules * (calibrations[component].value if component in calibrations else 1.0)
        for component, joules in energy_j.items()
        if joules is not None
    ]
    return joules_to_kwh(sum(energies_j)) if energies_j else None


def hours_between(start: datetime, end: datetime) -> tuple[str, ...]:
    """The UTC hours (ISO 8601) from one time to another, inclusive."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [hour.isoformat()]
    while (hour := hour + timedelta(hours=1)) <= end:
        hours.append(hour.isoformat())
    return tuple(hours)


def _mean(
    by_hour: HourlyFactor | None, flat: Factor | None, hours: tuple[str, ...]
) -> float | None:
    """The mean of the hourly factors; hours without one use the flat factor."""
    fallback = None if flat is None else flat.value
    if by_hour is None:
        return fallback
    values = [by_hour.by_hour.get(hour, fallback) for hour in hours]
    known_values = [value for value in values if value is not None]
    return sum(known_values) / len(known_values) if known_values else fallback


def _cost(
    attempt: AttemptInput, facility_kwh: float | None, factors: Factors, tariff: float | None
) -> float | None:
    """Total as on a price tag: owned hardware with electricity, or cloud, or electricity."""
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
