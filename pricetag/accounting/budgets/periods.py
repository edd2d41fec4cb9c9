"""The periods of a budget: weeks, months, quarters and years of a place's own calendar.

An edge is the first instant at which the clocks of the place show midnight of the period's
first day. Where clocks go forward over that midnight, it is the instant that midnight would
have been by the clocks before. Edges are instants, so periods follow one another without gap
or overlap, and last an hour more or less where clocks change in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Period = Literal["total", "week", "month", "quarter", "year"]
PERIODS: tuple[Period, ...] = get_args(Period)

MONTHS_OF: dict[Period, int] = {"month": 1, "quarter": 3, "year": 12}
EARLIEST_YEAR, LATEST_YEAR = 1900, 9000


NO_PLACE = frozenset({"localtime", "posixrules", "Factory"})
"""Entries beside the zones on a machine: its local clock, and what was set at installation."""
NO_PLACES = ("posix/", "right/")
"""Second sets of the same zones, with and without leap seconds."""


class UnknownTimeZone(ValueError):  # noqa: N818 - it names what is unknown
    """There is no time zone of this name."""


@dataclass(frozen=True, slots=True)
class Span:
    """A period as UTC instants, ``start`` within it and ``end`` not; None where it has no edge."""

    start: datetime | None
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies in it."""
        after = self.start is None or self.start <= at
        return after and (self.end is None or at < self.end)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name, such as ``Europe/Berlin``.

    Raises:
        UnknownTimeZone: If there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _unknown(name) from error


def place_zone(name: str) -> ZoneInfo:
    """The same of a name that is to be kept: one that means the same clocks on every machine.

    Raises:
        UnknownTimeZone: If there is none of this name, or it is not a place's.
    """
    if name in NO_PLACE or name.startswith(NO_PLACES):
        raise _unknown(name)
    return zone_of(name)


def _unknown(name: str) -> UnknownTimeZone:
    return UnknownTimeZone(
        f"there is no time zone {name!r}; give an IANA name such as Europe/Berlin or UTC"
    )


def period_at(period: Period, zone: ZoneInfo, at: datetime) -> Span:
    """The period that an instant lies in.

    Weeks begin on Monday (ISO 8601), quarters in January, April, July and October.

    Args:
        period: Its length; ``total`` has neither start nor end.
        zone: Whose midnights are its edges.
        at: Any instant, with its zone, between the years 1900 and 9000.

    Raises:
        ValueError: If ``at`` has no zone, or lies outside of those years.
    """
    if period == "total":
        return Span(None, None)
    if at.tzinfo is None or not EARLIEST_YEAR <= at.year <= LATEST_YEAR:
        raise ValueError(f"{at} must have a time zone and lie in {EARLIEST_YEAR} to {LATEST_YEAR}")
    first = _first_day(period, at.astimezone(zone).date())
    # Clocks that go back over midnight show the day before again: instants decide.
    if at < _midnight(first, zone):
        first = _first_day(period, first - timedelta(days=1))
    following = _next_first_day(period, first)
    if at >= _midnight(following, zone):
        first, following = following, _next_first_day(period, following)
    return Span(_midnight(first, zone), _midnight(following, zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _first_day(period: Period, day: date) -> date:
    if period == "week":
        return day - timedelta(days=day.weekday())
    months = MONTHS_OF[period]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def _next_first_day(period: Period, first: date) -> date:
    if period == "week":
        return first + timedelta(days=7)
    month = first.month + MONTHS_OF[period]
    return date(first.year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
