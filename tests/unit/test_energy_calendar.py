"""Segments of hours, days and months add up to the requested hours."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.repositories.energy.calendar import LEVELS, Level, Segment, after, cover, floor

HOUR = timedelta(hours=1)
BEGIN = datetime(2023, 11, 1, tzinfo=UTC)


def hours_of(segments: list[Segment]) -> Counter[int]:
    hours: Counter[int] = Counter()
    for segment in segments:
        first, stop = ((end - BEGIN) // HOUR for end in (segment.start, segment.stop))
        for hour in range(first, stop):
            hours[hour] += segment.sign
    return hours


@pytest.mark.parametrize("levels", [LEVELS, LEVELS[1:], LEVELS[2:]])
@given(first=st.integers(800, 10_000), length=st.integers(0, 10_000))
def test_each_requested_hour_counts_once_and_no_other(
    levels: tuple[Level, ...], first: int, length: int
) -> None:
    segments = cover(BEGIN + first * HOUR, BEGIN + (first + length) * HOUR, levels)
    hours = hours_of(segments)
    assert {hour for hour, count in hours.items() if count} == set(range(first, first + length))
    assert set(hours.values()) <= {0, 1}
    for segment in segments:
        assert segment.level in levels
        assert floor(segment.start, segment.level) == segment.start < segment.stop
        assert floor(segment.stop, segment.level) == segment.stop


@given(first=st.integers(800, 10_000), length=st.integers(1, 10_000))
def test_at_most_half_a_month_of_days_and_half_a_day_of_hours_is_read_at_an_end(
    first: int, length: int
) -> None:
    rows: Counter[str] = Counter()
    for segment in cover(BEGIN + first * HOUR, BEGIN + (first + length) * HOUR):
        count, start = 0, segment.start
        while start < segment.stop:
            count, start = count + 1, after(start, segment.level)
        rows[segment.level] += count
    # Within one month or day nothing coarser can help.
    assert rows["hour"] <= 24
    assert rows["day"] <= 32


def test_a_calendar_year_is_read_as_twelve_months() -> None:
    start, stop = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    assert cover(start, stop) == [Segment("month", start, stop)]
