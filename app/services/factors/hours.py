"""Factors that change by the hour: time-of-use tariffs and hourly carbon intensities."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache

from app.services.factors.rows import FactorBook, SourcedFactor, as_factor, with_origin
from models import CarbonSeries
from models import Factor as FactorRow
from pricetag.accounting.bill.inputs import Factor, HourlyFactor
from pricetag.accounting.bill.tariff import parse_periods, price_of_hour, week_of_prices
from pricetag.accounting.quantity.quantity import weakest


def hour_key(hour: datetime) -> str:
    """An hour as a key of the accounting: ``2026-11-21T04:00:00+00:00``."""
    return hour.astimezone(UTC).isoformat()


def parse_hour(text: str) -> datetime:
    """The hour of a key.

    Raises:
        ValueError: If the text is not a time with a time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def periods_of(row: FactorRow) -> object | None:
    """The periods of a time-of-use tariff; None for a flat tariff."""
    return (row.details or {}).get("periods")


def tariff_hours(
    book: FactorBook, hours: Sequence[datetime], zone: tzinfo, unit: str
) -> tuple[HourlyFactor | None, SourcedFactor | None, bool]:
    """Price of a kWh in each hour, by the tariffs valid then.

    Args:
        book: The site's factors.
        hours: Hours in which energy was used; at least one.
        zone: Time zone of the tariffs' periods.
        unit: Unit of the site's prices, e.g. EUR/kWh; tariffs in other units are skipped.

    Returns:
        The hourly prices, unless the price is the same in all hours; the tariff of the last
        hour that has a tariff; and whether every hour has one.
    """
    rows = book.rows_of("tariff", hours)
    own = {hour: row for hour, row in rows.items() if row is not None and row.unit == unit}
    if not own:
        return None, None, False
    last = own[max(own)]
    changes = len({row.id for row in own.values()}) > 1 or periods_of(last) is not None
    complete = len(own) == len(rows)
    if not changes and complete:
        return None, with_origin(last), True
    distinct = _distinct(own.values())
    weeks = {row.id: _week_of(row) for row in distinct}
    by_hour = {
        hour_key(hour): float(row.value if week is None else price_of_hour(week, hour, zone))
        for hour, row in own.items()
        for week in (weeks[row.id],)
    }
    factor = merged([as_factor(row) for row in distinct], by_hour)
    return HourlyFactor(factor, by_hour), with_origin(last), complete


def _week_of(row: FactorRow) -> tuple[Decimal, ...] | None:
    """The prices of a time-of-use tariff; None for a flat one."""
    periods = periods_of(row)
    return None if periods is None else _week(json.dumps(periods))


@lru_cache(maxsize=64)
def _week(periods_json: str) -> tuple[Decimal, ...]:
    return week_of_prices(parse_periods(json.loads(periods_json)))


def carbon_hours(
    measured: Mapping[datetime, tuple[float, CarbonSeries]],
    rows: Mapping[datetime, FactorRow | None],
) -> HourlyFactor | None:
    """Carbon intensity of each hour; None if one annual value applies to all hours.

    Args:
        measured: Imported intensities, each with its series.
        rows: The annual value that the site had entered for each hour, if any.
    """
    entered = {hour: row for hour, row in rows.items() if row is not None}
    changes = len({row.id for row in entered.values()}) > 1 or 0 < len(entered) < len(rows)
    if not measured and not changes:
        return None
    # Hours missing from the series fall back to the annual value, so it gets no hourly entry.
    annual = entered if changes else {}
    values = {hour: float(row.value) for hour, row in annual.items()}
    values |= {hour: value for hour, (value, _) in measured.items()}
    factors = [_of_series(series, hour) for hour, (_, series) in _by_series(measured)]
    annual_rows = [row for hour, row in annual.items() if hour not in measured]
    factors += [as_factor(row) for row in _distinct(annual_rows)]
    by_hour = {hour_key(hour): values[hour] for hour in sorted(values)}
    return HourlyFactor(merged(factors, by_hour), by_hour)


def _by_series(
    measured: Mapping[datetime, tuple[float, CarbonSeries]],
) -> list[tuple[datetime, tuple[float, CarbonSeries]]]:
    """One hour from each series."""
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
    """One factor that describes several: the mean of the hours, the largest error.

    Args:
        factors: Factors behind the hourly values; at least one.
        by_hour: The hourly values.
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
