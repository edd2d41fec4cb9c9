"""A period cut into UTC months, UTC days and shorter edges.

Balances are kept by UTC day and month. Local midnights rarely coincide with those of UTC, so a
period of a local calendar has up to two edges shorter than a day besides its whole days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pricetag.accounting.budgets.periods import Span

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Whole UTC days from ``first`` up to, but excluding, ``end``; None where there is no edge."""

    first: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of one period: each of its instants is in exactly one.

    Attributes:
        whole: All of its whole days, None if it has none.
        months: Those that are whole months, None if there is no whole month.
        days: The other whole days.
        edges: The remaining time: each edge is shorter than a day, or a period without a whole day.
    """

    whole: Days | None
    months: Days | None
    days: tuple[Days, ...]
    edges: tuple[Span, ...]


def pieces_of(span: Span) -> Pieces:
    """Cuts a period at the midnights of UTC."""
    first = None if span.start is None else _first_whole_day(span.start)
    end = None if span.end is None else span.end.astimezone(UTC).date()
    if first is not None and end is not None and first >= end:
        return Pieces(None, None, (), (span,))
    edges = []
    if first is not None and span.start != midnight(first):
        edges.append(Span(span.start, midnight(first)))
    if end is not None and span.end != midnight(end):
        edges.append(Span(midnight(end), span.end))
    days_within = Days(first, end)
    months, days = _months_and_days(days_within)
    return Pieces(days_within, months, days, tuple(edges))


def _months_and_days(span: Days) -> tuple[Days | None, tuple[Days, ...]]:
    first = None if span.first is None else _first_whole_month(span.first)
    end = None if span.end is None else span.end.replace(day=1)
    if first is not None and end is not None and first >= end:
        return None, (span,)
    days = []
    if first != span.first:
        days.append(Days(span.first, first))
    if end != span.end:
        days.append(Days(end, span.end))
    return Days(first, end), tuple(days)


def midnight(day: date) -> datetime:
    """The instant at which a UTC day begins."""
    return datetime.combine(day, time(), tzinfo=UTC)


def _first_whole_day(at: datetime) -> date:
    day = at.astimezone(UTC).date()
    return day if at == midnight(day) else day + DAY


def _first_whole_month(day: date) -> date:
    return day if day.day == 1 else month_after(day)


def month_after(day: date) -> date:
    """The first day of the month after a day's."""
    return (day.replace(day=1) + 31 * DAY).replace(day=1)
