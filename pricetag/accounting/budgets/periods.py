"""The periods of a budget: weeks, months, quarters and years of a local calendar.

A period begins at the first instant at which local clocks show midnight of its first day. If
clocks are set forward over that midnight, it begins at the instant that would have been midnight
without the change. Since edges are instants, periods adjoin without gaps or overlaps, and last
an hour more or less if clocks change during them.
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
"""Entries in the zone folder that are not zones: the machine's local clock and defaults."""
NO_PLACES = ("posix/", "right/")
"""Folders that repeat all zones, with and without leap seconds."""


class UnknownTimeZone(ValueError):  # noqa: N818 - the name states the problem
    """No time zone has this name."""


@dataclass(frozen=True, slots=True)
class Span:
    """A period of UTC instants from ``start`` to ``end`` (exclusive); None without an edge."""

    start: datetime | None
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        """Whether it contains an instant."""
        after = self.start is None or self.start <= at
        return after and (self.end is None or at < self.end)


def zone_of(name: str) -> ZoneInfo:
    """The time zone with an IANA name, such as ``Europe/Berlin``.

    Raises:
        UnknownTimeZone: If no time zone has this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _unknown(name) from error


def place_zone(name: str) -> ZoneInfo:
    """Same as ``zone_of``, for a name to store: it must mean the same zone on every machine.

    Raises:
        UnknownTimeZone: If no time zone has this name, or it depends on the machine.
    """
    if name in NO_PLACE or name.startswith(NO_PLACES):
        raise _unknown(name)
    return zone_of(name)


def _unknown(name: str) -> UnknownTimeZone:
    return UnknownTimeZone(
        f"unknown time zone {name!r}; use an IANA name such as Europe/Berlin or UTC"
    )


def period_at(period: Period, zone: ZoneInfo, at: datetime) -> Span:
    """The period that contains an instant.

    Weeks begin on Monday (ISO 8601), quarters in January, April, July and October.

    Args:
        period: Kind of period; ``total`` has neither start nor end.
        zone: Time zone whose midnights are its edges.
        at: Instant with a time zone, between the years 1900 and 9000.

    Raises:
        ValueError: If ``at`` has no time zone, or is outside these years.
    """
    if period == "total":
        return Span(None, None)
    if at.tzinfo is None or not EARLIEST_YEAR <= at.year <= LATEST_YEAR:
        raise ValueError(f"{at} must have a time zone and lie in {EARLIEST_YEAR} to {LATEST_YEAR}")
    first = _first_day(period, at.astimezone(zone).date())
    # If clocks are set back over midnight, they show the previous day again: instants decide.
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
