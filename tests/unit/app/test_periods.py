"""Periods of a page: a name, or two days."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from app.web.views.periods import InvalidPeriodError, period

NOW = datetime(2026, 3, 5, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (None, date.min, "0001-01-01 is before 2000-01-01"),
        (date(1, 1, 1), date(1, 1, 2), "0001-01-01 is before 2000-01-01"),
        (date(1999, 12, 31), None, "1999-12-31 is before 2000-01-01"),
        (date(2026, 3, 4), date(2026, 3, 3), "is after the last"),
        (date(2026, 3, 6), None, "is in the future"),
        (date.max, None, "is in the future"),
    ],
)
def test_days_that_are_not_a_range_are_rejected(
    first: date | None, last: date | None, message: str
) -> None:
    with pytest.raises(InvalidPeriodError, match=message):
        period(None, first, last, NOW, "7d")


@pytest.mark.parametrize("last", [date(2026, 3, 5), date(2030, 1, 1), date.max, None])
def test_days_reach_the_present_hour_at_most(last: date | None) -> None:
    shown = period(None, date(2026, 3, 1), last, NOW, "7d")
    assert shown.start == datetime(2026, 3, 1, tzinfo=UTC)
    assert shown.stop == datetime(2026, 3, 5, 11, tzinfo=UTC)
    assert (shown.first, shown.last) == ("2026-03-01", "2026-03-05")
