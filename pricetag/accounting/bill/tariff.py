"""Time-of-use electricity tariffs: a week of local clock time, and the price of an hour.

A tariff uses local time, energy UTC hours. If the price changes within a UTC hour (zones with
half-hour offsets, periods that begin at 07:30), the price of the hour is the mean over its
minutes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from pricetag.accounting.bill.amounts import amount
from pricetag.accounting.quantity.checks import InvalidFactor

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIN_PER_H = 60
MIN_PER_DAY = 24 * MIN_PER_H
MIN_PER_WEEK = 7 * MIN_PER_DAY
MOST_PERIODS = 200

_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")
_KEYS = {"days", "from", "to", "price"}


@dataclass(frozen=True, slots=True)
class TariffPeriod:
    """A price that applies on some days from one clock time to another.

    Attributes:
        days: Days on which the period begins, 0 for Monday.
        from_min: Minute of the day at which it begins.
        to_min: Minute of the day at which it ends; if at or before ``from_min``, it ends on the
            next day.
        price: Price per kWh.
    """

    days: tuple[int, ...]
    from_min: int
    to_min: int
    price: Decimal

    def minutes_of_week(self) -> list[int]:
        """The minutes of the week that it covers, 0 for Monday 00:00."""
        length = (self.to_min - self.from_min) % MIN_PER_DAY or MIN_PER_DAY
        starts = [day * MIN_PER_DAY + self.from_min for day in self.days]
        return [(start + step) % MIN_PER_WEEK for start in starts for step in range(length)]


def parse_periods(periods: object, field: str = "details.periods") -> tuple[TariffPeriod, ...]:
    """Parse periods: ``[{days: [mon, ...], from: '07:00', to: '22:00', price: '0.31'}]``.

    ``days`` may contain ranges (``mon-fri``); ``to`` may be ``24:00``, or earlier than ``from``
    for a period that ends on the next day.

    Raises:
        InvalidFactor: If a period is invalid; its ``field`` states which.
    """
    expected = f"a list of 1 to {MOST_PERIODS} periods, each with days, from, to and price"
    if not isinstance(periods, Sequence) or isinstance(periods, str):
        raise InvalidFactor(field, periods, expected)
    if not 1 <= len(periods) <= MOST_PERIODS:
        raise InvalidFactor(field, f"{len(periods)} periods", expected)
    return tuple(_period(period, f"{field}.{n}") for n, period in enumerate(periods))


def week_of_prices(
    periods: Sequence[TariffPeriod], field: str = "details.periods"
) -> tuple[Decimal, ...]:
    """The price of every minute of the week, from Monday 00:00 local time.

    Raises:
        InvalidFactor: If periods overlap, or do not cover the whole week.
    """
    week: list[Decimal | None] = [None] * MIN_PER_WEEK
    for number, period in enumerate(periods):
        for minute in period.minutes_of_week():
            if week[minute] is not None:
                expected = "periods of which one applies at a time"
                raise _invalid(
                    f"{field}.{number}", f"overlaps another at {clock(minute)}", expected
                )
            week[minute] = period.price
    covered = [price for price in week if price is not None]
    if len(covered) < MIN_PER_WEEK:
        hole = clock(week.index(None))
        raise _invalid(field, f"no price at {hole}", "periods that cover the whole week")
    return tuple(covered)


def mean_price(week: Sequence[Decimal]) -> Decimal:
    """The mean price per kWh over the minutes of a week."""
    return sum(week, Decimal(0)) / len(week)


def price_of_hour(week: Sequence[Decimal], hour: datetime, zone: tzinfo) -> Decimal:
    """The price of a kWh in an hour: the mean over its minutes.

    Args:
        week: The price of every minute of the week in local time.
        hour: Beginning of the hour, with time zone.
        zone: Local time zone; its clocks may change within the hour.
    """
    first, last = (
        (hour.astimezone(UTC) + timedelta(minutes=step)).astimezone(zone)
        for step in (0, MIN_PER_H - 1)
    )
    if first.utcoffset() == last.utcoffset():
        begin = _minute_of_week(first)
        past = max(0, begin + MIN_PER_H - MIN_PER_WEEK)
        prices = [*week[begin : begin + MIN_PER_H], *week[:past]]
    else:  # clocks change within the hour
        every = (hour.astimezone(UTC) + timedelta(minutes=step) for step in range(MIN_PER_H))
        prices = [week[_minute_of_week(instant.astimezone(zone))] for instant in every]
    if prices.count(prices[0]) == len(prices):
        return prices[0]
    return sum(prices, Decimal(0)) / MIN_PER_H


def clock(minute_of_week: int) -> str:
    """``mon 07:00`` for a minute of the week."""
    day, minute = divmod(minute_of_week, MIN_PER_DAY)
    return f"{DAYS[day]} {minute // MIN_PER_H:02}:{minute % MIN_PER_H:02}"


def _invalid(field: str, problem: str, expected: str) -> InvalidFactor:
    return InvalidFactor(field, problem, expected, problem)


def _minute_of_week(local: datetime) -> int:
    return local.weekday() * MIN_PER_DAY + local.hour * MIN_PER_H + local.minute


def _period(period: object, field: str) -> TariffPeriod:
    if not isinstance(period, Mapping) or set(period) != _KEYS:
        supplied_keys = sorted(map(str, period)) if isinstance(period, Mapping) else period
        raise InvalidFactor(field, supplied_keys, "exactly days, from, to and price")
    begins = _minute_of_day(period["from"], f"{field}.from")
    if begins == MIN_PER_DAY:
        raise InvalidFactor(f"{field}.from", "24:00", "00:00 of the next day")
    ends = _minute_of_day(period["to"], f"{field}.to")
    if begins == ends:
        expected = "another time than from; 00:00 to 24:00 is the whole day"
        raise InvalidFactor(f"{field}.to", period["to"], expected)
    return TariffPeriod(
        days=_days(period["days"], f"{field}.days"),
        from_min=begins,
        to_min=ends,
        price=amount(f"{field}.price", period["price"]),
    )


def _minute_of_day(text: object, field: str) -> int:
    clock = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    minute = int(clock[1]) * MIN_PER_H + int(clock[2]) if clock else MIN_PER_DAY + 1
    if minute > MIN_PER_DAY:
        raise InvalidFactor(field, text, "a clock time in quotes such as '07:00', at most '24:00'")
    return minute


def _days(days: object, field: str) -> tuple[int, ...]:
    expected = f"a list of days ({', '.join(DAYS)}) or ranges such as mon-fri, each day once"
    if not isinstance(days, Sequence) or isinstance(days, str) or not days:
        raise InvalidFactor(field, days, expected)
    weekdays: list[int] = []
    for part in days:
        first, _, last = str(part).strip().lower().partition("-")
        last = last or first
        if first not in DAYS or last not in DAYS:
            raise InvalidFactor(field, part, expected)
        span = (DAYS.index(last) - DAYS.index(first)) % len(DAYS)
        weekdays += [(DAYS.index(first) + step) % len(DAYS) for step in range(span + 1)]
    if len(set(weekdays)) != len(weekdays):
        raise InvalidFactor(field, days, expected)
    return tuple(weekdays)
