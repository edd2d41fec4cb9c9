"""Periods of a page in its address: a name, or two days, both included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from app.schemas.common import FieldProblem

Named = Literal["24h", "7d", "30d", "90d", "12m", "month", "last-month", "year"]

TITLES: dict[Named, str] = {
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "12m": "12 months",
    "month": "This month",
    "last-month": "Last month",
    "year": "This year",
}
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LENGTHS: dict[str, timedelta] = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY}


@dataclass(frozen=True, slots=True)
class Choice:
    """A period to choose."""

    name: str
    title: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Period:
    """A range of hours, and its parameters in the page's address.

    Attributes:
        start: Its beginning (UTC).
        stop: Its end, exclusive.
        name: The chosen name; None for two days.
        first: First day, for the date field.
        last: Last day, for the date field.
        choices: The periods to choose.
    """

    start: datetime
    stop: datetime
    name: str | None
    first: str
    last: str
    choices: Sequence[Choice]

    @property
    def query(self) -> dict[str, str | None]:
        """The parameters of the range."""
        if self.name is not None:
            return {"period": self.name, "from": None, "to": None}
        return {"period": None, "from": self.first, "to": self.last}

    @property
    def options(self) -> list[tuple[str, str]]:
        """The periods to choose, for a form that has the two days too."""
        names = [(choice.name, choice.title) for choice in self.choices]
        return [("", "Two days"), *names]

    @property
    def text(self) -> str:
        """The range in words."""
        return f"{self.start:%Y-%m-%d %H:%M} to {self.stop:%Y-%m-%d %H:%M} UTC"


EARLIEST = date(2000, 1, 1)
"""No run is older."""


class InvalidPeriodError(ValueError):
    """The two days are not a range.

    Attributes:
        problems: The error of each day.
    """

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems


def period(
    name: Named | None,
    first: date | None,
    last: date | None,
    now: datetime,
    default: Named,
    names: Sequence[Named] = tuple(TITLES),
) -> Period:
    """The period of a page.

    Args:
        name: The chosen name; two days come first.
        first: First day; a month before the last one if only that is given.
        last: Last day, included; today if only the first is given.
        now: Present time.
        default: The period without any of them.
        names: The periods to choose.

    Raises:
        InvalidPeriodError: If the first day is after the last, in the future, or before 2000.
    """
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR
    chosen_name = None
    if first is None and last is None:
        chosen_name = name or default
        start, stop = _named(chosen_name, end, now)
    else:
        first, last = _days(first, last, now.astimezone(UTC).date())
        start, stop = _midnight(first), min(_midnight(last + DAY), end)
    choices = [Choice(each, TITLES[each], each == chosen_name) for each in names]
    last_day = (stop - timedelta(microseconds=1)).date()
    return Period(start, stop, chosen_name, start.date().isoformat(), last_day.isoformat(), choices)


def _days(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """The two days, without those to come.

    Raises:
        InvalidPeriodError: If they are not a range.
    """
    problems = [
        _problem(field, f"{day} is before {EARLIEST}.")
        for field, day in (("from", first), ("to", last))
        if day is not None and day < EARLIEST
    ]
    if first is not None and first > today:
        problems.append(_problem("from", f"{first} is in the future."))
    if problems:
        raise InvalidPeriodError(problems)
    until = min(last or today, today)
    since = first or until - 30 * DAY
    if since > until:
        raise InvalidPeriodError(
            [_problem("from", f"The first day, {since}, is after the last, {until}.")]
        )
    return since, until


def _problem(field: str, message: str) -> FieldProblem:
    return FieldProblem(field=field, message=message)


def _named(name: Named, end: datetime, now: datetime) -> tuple[datetime, datetime]:
    this_month = _midnight(now.date().replace(day=1))
    if name in LENGTHS:
        return end - LENGTHS[name], end
    if name == "12m":
        return this_month.replace(year=this_month.year - 1), end
    if name == "month":
        return this_month, end
    if name == "year":
        return this_month.replace(month=1), end
    before = _midnight((this_month - DAY).date().replace(day=1))
    return before, this_month


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
