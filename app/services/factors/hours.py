"""Factors that change from hour to hour: tariffs by the time of use, hourly intensities."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache

from app.services.factors.rows import FactorBook, Found, as_factor, found
from models import CarbonSeries
from models import Factor as FactorRow
from pricetag.accounting.bill.inputs import Factor, HourlyFactor
from pricetag.accounting.bill.tariff import parse_periods, price_of_hour, week_of_prices
from pricetag.accounting.quantity.quantity import weakest


def hour_key(hour: datetime) -> str:
    """An hour as the accounting names it: ``2026-11-21T04:00:00+00:00``."""
    return hour.astimezone(UTC).isoformat()


def parse_hour(text: str) -> datetime:
    """The hour of such a key.

    Raises:
        ValueError: If it is no time with a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def periods_of(row: FactorRow) -> object | None:
    """The periods of a tariff by the time of use; None for a flat one."""
    return (row.details or {}).get("periods")


def tariff_hours(
    book: FactorBook, hours: Sequence[datetime], zone: tzinfo, unit: str
) -> tuple[HourlyFactor | None, Found | None, bool]:
    """What a kWh costs hour by hour, by the tariffs in force.

    Args:
        book: The site's factors.
        hours: In which energy was used; at least one.
        zone: Whose clocks the tariffs go by.
        unit: Of the site's money per kWh; tariffs in other money are passed over.

    Returns:
        The hours, where the price is not the same in all of them; the tariff of the last hour
        that has one; and whether every hour has one.
    """
    rows = {hour: book.row("tariff", hour) for hour in hours}
    own = {hour: row for hour, row in rows.items() if row is not None and row.unit == unit}
    if not own:
        return None, None, False
    last = own[max(own)]
    changes = len({row.id for row in own.values()}) > 1 or periods_of(last) is not None
    complete = len(own) == len(rows)
    if not changes and complete:
        return None, found(last), True
    by_hour = {hour_key(hour): float(_price(row, hour, zone)) for hour, row in own.items()}
    factor = merged([as_factor(row) for row in _distinct(own.values())], by_hour)
    return HourlyFactor(factor, by_hour), found(last), complete


def _price(row: FactorRow, hour: datetime, zone: tzinfo) -> Decimal:
    periods = periods_of(row)
    if periods is None:
        return row.value
    return price_of_hour(_week(json.dumps(periods)), hour, zone)


@lru_cache(maxsize=64)
def _week(periods_json: str) -> tuple[Decimal, ...]:
    return week_of_prices(parse_periods(json.loads(periods_json)))


def carbon_hours(
    measured: Mapping[datetime, tuple[float, CarbonSeries]],
    rows: Mapping[datetime, FactorRow | None],
) -> HourlyFactor | None:
    """Carbon intensities hour by hour; None where one annual figure holds for all hours.

    Args:
        measured: Imported intensities, with the series that each is from.
        rows: The annual figure that the site had entered for each hour, if any.
    """
    entered = {hour: row for hour, row in rows.items() if row is not None}
    changes = len({row.id for row in entered.values()}) > 1 or 0 < len(entered) < len(rows)
    if not measured and not changes:
        return None
    # One annual figure for all hours is no hour's own: what the series lacks falls back to it.
    annual = entered if changes else {}
    values = {hour: float(row.value) for hour, row in annual.items()}
    values |= {hour: value for hour, (value, _) in measured.items()}
    factors = [_of_series(series, hour) for hour, (_, series) in _by_series(measured)]
    left = [row for hour, row in annual.items() if hour not in measured]
    factors += [as_factor(row) for row in _distinct(left)]
    by_hour = {hour_key(hour): values[hour] for hour in sorted(values)}
    return HourlyFactor(merged(factors, by_hour), by_hour)


def _by_series(
    measured: Mapping[datetime, tuple[float, CarbonSeries]],
) -> list[tuple[datetime, tuple[float, CarbonSeries]]]:
    """One hour of each series."""
    return list({pair[1].id: (hour, pair) for hour, pair in measured.items()}.values())


def _of_series(series: CarbonSeries, hour: datetime) -> Factor:
    return Factor(
        value=0.0,
        unit="g/kWh",
        relative_std_ratio=series.relative_std_ratio,
        source="estimated",
        citation=series.source,
        year=hour.year,
        basis=f"{series.basis}, by the hour",
        zone=series.zone,
        licence=series.licence,
        source_url=series.source_url or None,
    )


def _distinct(rows: Iterable[FactorRow]) -> list[FactorRow]:
    return list({row.id: row for row in rows}.values())


def merged(factors: Sequence[Factor], by_hour: Mapping[str, float]) -> Factor:
    """One description of several factors: the mean of the hours, the largest error.

    Args:
        factors: That the hours are from; at least one.
        by_hour: Their values.
    """
    first = factors[0]
    years = [factor.year for factor in factors if factor.year is not None]
    return Factor(
        value=sum(by_hour.values()) / len(by_hour) if by_hour else first.value,
        unit=first.unit,
        relative_std_ratio=max(factor.relative_std_ratio for factor in factors),
        source=weakest(*(factor.source for factor in factors)),
        citation=_joined(factor.citation for factor in factors) or first.citation,
        year=max(years, default=None),
        basis=_joined(factor.basis for factor in factors),
        zone=_joined(factor.zone for factor in factors),
        licence=_joined(factor.licence for factor in factors),
        source_url=_joined(factor.source_url for factor in factors),
        multiplicative=any(factor.multiplicative for factor in factors),
    )


def _joined(texts: Iterable[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(text for text in texts if text)) or None
