from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.budgets.periods import (
    Period,
    Span,
    UnknownTimeZone,
    period_at,
    place_zone,
    zone_of,
)

BOUNDED: tuple[Period, ...] = ("week", "month", "quarter", "year")
# Clocks that change at midnight, by half an hour, by a whole day, and that do not change.
AWKWARD = (
    "America/Sao_Paulo",
    "America/Havana",
    "America/Toronto",
    "Asia/Beirut",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "UTC",
)
TICK = timedelta(microseconds=1)

instants = st.datetimes(
    datetime(1905, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)
) | st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from(AWKWARD) | st.sampled_from(sorted(available_timezones()))


@given(st.sampled_from(BOUNDED), zones, instants)
def test_every_instant_is_in_one_period_and_periods_adjoin(
    period: Period, name: str, at: datetime
) -> None:
    zone = zone_of(name)
    span = period_at(period, zone, at)
    assert span.start is not None
    assert span.end is not None
    assert span.holds(at)
    assert period_at(period, zone, span.start) == span
    assert period_at(period, zone, span.end - TICK) == span
    following = period_at(period, zone, span.end)
    before = period_at(period, zone, span.start - TICK)
    assert following.start == span.end
    assert before.end == span.start
    assert not following.holds(at)
    assert not before.holds(at)


@given(st.sampled_from(BOUNDED), zones, instants)
def test_a_period_begins_at_its_first_midnight(period: Period, name: str, at: datetime) -> None:
    zone = zone_of(name)
    start = period_at(period, zone, at).start
    assert start is not None
    local = start.astimezone(zone)
    if local.time() != time():
        # Only where clocks leapt over that midnight, or back to before it.
        assert (start - timedelta(days=1)).astimezone(zone).utcoffset() != local.utcoffset()
        return
    if period == "week":
        assert local.weekday() == 0
    else:
        assert local.day == 1
        assert (
            local.month in {"month": range(1, 13), "quarter": (1, 4, 7, 10), "year": (1,)}[period]
        )


@given(st.sampled_from(BOUNDED), instants, st.integers(-14 * 60, 14 * 60))
def test_the_time_zone_of_an_instant_does_not_matter(
    period: Period, at: datetime, offset_min: int
) -> None:
    zone = zone_of("Europe/Berlin")
    elsewhere = at.astimezone(timezone(timedelta(minutes=offset_min)))
    assert period_at(period, zone, elsewhere) == period_at(period, zone, at)


@pytest.mark.parametrize(
    ("period", "zone", "at", "start", "end"),
    [
        # Clocks change within: 167 and 169 hours, 743 and 745.
        ("week", "Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-22T23:00", "2026-03-29T22:00"),
        ("week", "Europe/Berlin", "2026-10-25T12:00+01:00", "2026-10-18T22:00", "2026-10-25T23:00"),
        ("month", "Europe/Berlin", "2026-03-15T00:00Z", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("month", "America/New_York", "2026-11-30T00:00Z", "2026-11-01T04:00", "2026-12-01T05:00"),
        # February, leap and not, and a century that is none.
        ("month", "UTC", "2028-02-29T23:59Z", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("month", "UTC", "2027-02-28T23:59Z", "2027-02-01T00:00", "2027-03-01T00:00"),
        ("month", "UTC", "2100-02-28T23:59Z", "2100-02-01T00:00", "2100-03-01T00:00"),
        ("year", "UTC", "2028-12-31T23:59Z", "2028-01-01T00:00", "2029-01-01T00:00"),
        # The lab's new year is not Greenwich's.
        ("year", "Asia/Tokyo", "2026-12-31T15:00Z", "2026-12-31T15:00", "2027-12-31T15:00"),
        ("quarter", "UTC", "2026-12-31T23:59Z", "2026-10-01T00:00", "2027-01-01T00:00"),
        ("quarter", "Asia/Kathmandu", "2026-07-31T00:00Z", "2026-06-30T18:15", "2026-09-30T18:15"),
        # A week over the turn of a year.
        ("week", "UTC", "2027-01-01T00:00Z", "2026-12-28T00:00", "2027-01-04T00:00"),
        # 15 October 2017 had no midnight in Sao Paulo; November began two hours off UTC.
        ("month", "America/Sao_Paulo", "2017-10-20T00:00Z", "2017-10-01T03:00", "2017-11-01T02:00"),
        # 31 March 2024 was a Sunday whose midnight Beirut leapt over; the week ends at Monday's.
        ("week", "Asia/Beirut", "2024-03-31T12:00Z", "2024-03-24T22:00", "2024-03-31T21:00"),
    ],
)
def test_periods_match_known_examples(
    period: Period, zone: str, at: str, start: str, end: str
) -> None:
    span = period_at(period, zone_of(zone), datetime.fromisoformat(at))
    expected = (datetime.fromisoformat(f"{edge}+00:00") for edge in (start, end))
    assert span == Span(*expected)


def test_a_total_has_no_edges() -> None:
    span = period_at("total", ZoneInfo("UTC"), datetime(2026, 1, 1, tzinfo=UTC))
    assert span == Span(None, None)
    assert span.holds(datetime.min.replace(tzinfo=UTC))


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "/etc/passwd", "a\0b"])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(UnknownTimeZone, match="IANA name such as Europe/Berlin"):
        zone_of(name)


@pytest.mark.parametrize("at", [datetime(2026, 1, 1), datetime(1899, 1, 1, tzinfo=UTC)])
def test_an_instant_must_have_a_time_zone_and_be_in_range(at: datetime) -> None:
    with pytest.raises(ValueError, match="must have a time zone"):
        period_at("month", ZoneInfo("UTC"), at)


@pytest.mark.parametrize(
    "name",
    ["localtime", "posixrules", "Factory", "posix/Europe/Berlin", "right/Europe/Berlin", "Mars"],
)
def test_a_zone_that_is_kept_means_the_same_clocks_everywhere(name: str) -> None:
    with pytest.raises(UnknownTimeZone, match=f"unknown time zone '{name}'; use an IANA name"):
        place_zone(name)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Etc/GMT-5", "EST5EDT"])
def test_the_time_zone_of_a_place_is_accepted(name: str) -> None:
    assert place_zone(name).key == name
