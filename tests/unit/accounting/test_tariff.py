from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.bill.tariff import (
    MIN_PER_DAY,
    MIN_PER_WEEK,
    clock,
    mean_price,
    parse_periods,
    price_of_hour,
    week_of_prices,
)
from pricetag.accounting.quantity.checks import InvalidFactor

BERLIN = ZoneInfo("Europe/Berlin")
ALL = ["mon-sun"]


def period(days: Any, begins: Any, ends: str, price: Any) -> dict[str, Any]:
    return {"days": days, "from": begins, "to": ends, "price": price}


DAY_AND_NIGHT = [period(ALL, "07:00", "22:00", "0.31"), period(ALL, "22:00", "07:00", "0.21")]


def week(periods: Any) -> tuple[Decimal, ...]:
    return week_of_prices(parse_periods(periods))


def test_day_and_night_cover_the_week() -> None:
    prices = week(DAY_AND_NIGHT)
    assert len(prices) == MIN_PER_WEEK
    at = {clock(minute): price for minute, price in enumerate(prices)}
    assert (at["mon 06:59"], at["mon 07:00"]) == (Decimal("0.21"), Decimal("0.31"))
    assert (at["sun 21:59"], at["sun 22:00"]) == (Decimal("0.31"), Decimal("0.21"))
    assert mean_price(prices) == Decimal("0.31") * 15 / 24 + Decimal("0.21") * 9 / 24


def test_a_range_of_days_may_go_over_the_week_s_end() -> None:
    prices = week(
        [period(["sat-mon"], "00:00", "24:00", 1), period(["tue-fri"], "00:00", "24:00", 2)]
    )
    assert [prices[day * MIN_PER_DAY] for day in range(7)] == [1, 2, 2, 2, 2, 1, 1]


def test_a_period_over_midnight_on_sunday_ends_on_monday() -> None:
    prices = week(
        [
            period(["sun"], "22:00", "06:00", "9"),
            period(["mon"], "06:00", "24:00", "1"),
            period(["tue-sat"], "00:00", "24:00", "1"),
            period(["sun"], "00:00", "22:00", "1"),
        ]
    )
    assert {clock(m) for m, price in enumerate(prices) if price == 9} == {
        clock((6 * MIN_PER_DAY + 22 * 60 + step) % MIN_PER_WEEK) for step in range(480)
    }


@pytest.mark.parametrize(
    ("periods", "field"),
    [
        ("never", "details.periods"),
        ([], "details.periods"),
        ([{"days": ALL}], "details.periods.0"),
        ([{**period(ALL, "00:00", "24:00", 1), "note": "x"}], "details.periods.0"),
        ([period("mon", "00:00", "24:00", 1)], "details.periods.0.days"),
        ([period([], "00:00", "24:00", 1)], "details.periods.0.days"),
        ([period(["monday"], "00:00", "24:00", 1)], "details.periods.0.days"),
        ([period(["mon", "mon-tue"], "00:00", "24:00", 1)], "details.periods.0.days"),
        ([period(ALL, "7:00", "24:00", 1)], "details.periods.0.from"),
        ([period(ALL, 420, "24:00", 1)], "details.periods.0.from"),
        ([period(ALL, "24:00", "07:00", 1)], "details.periods.0.from"),
        ([period(ALL, "00:00", "24:30", 1)], "details.periods.0.to"),
        ([period(ALL, "07:00", "07:00", 1)], "details.periods.0.to"),
        ([period(ALL, "00:00", "24:00", "-0.1")], "details.periods.0.price"),
        ([period(ALL, "00:00", "24:00", "NaN")], "details.periods.0.price"),
        ([period(ALL, "00:00", "24:00", "0_1")], "details.periods.0.price"),
        ([period(ALL, "00:00", "24:00", "\u0661")], "details.periods.0.price"),
        ([period(ALL, "00:00", "24:00", None)], "details.periods.0.price"),
        ([period(ALL, "00:00", "24:00", 1)] * 2, "details.periods.1"),
        ([period(["mon-sat"], "00:00", "24:00", 1)], "details.periods"),
        ([period(ALL, "00:00", "23:59", 1)], "details.periods"),
    ],
)
def test_periods_that_do_not_cover_the_week_once_are_rejected_with_their_field(
    periods: Any, field: str
) -> None:
    with pytest.raises(InvalidFactor) as refused:
        week(periods)
    assert refused.value.field == field


def test_a_gap_and_an_overlap_are_reported_with_their_time() -> None:
    with pytest.raises(InvalidFactor, match="no price at tue 12:00"):
        week(
            [
                period(["mon", "wed-sun"], "00:00", "24:00", 1),
                period(["tue"], "00:00", "12:00", 1),
                period(["tue"], "12:01", "24:00", 1),
            ]
        )
    with pytest.raises(InvalidFactor, match="overlaps another at wed 09:00"):
        week([period(ALL, "00:00", "24:00", 1), period(["wed"], "09:00", "10:00", 2)])


@pytest.mark.parametrize(
    ("hour", "price"),
    [
        # Winter: Berlin is an hour ahead; summer: two.
        ("2026-01-05T05:00Z", "0.21"),
        ("2026-01-05T06:00Z", "0.31"),
        ("2026-07-06T04:00Z", "0.21"),
        ("2026-07-06T05:00Z", "0.31"),
        # The night in which 02:00 to 03:00 does not exist, and the one in which it is twice.
        ("2026-03-29T04:00Z", "0.21"),
        ("2026-03-29T05:00Z", "0.31"),
        ("2026-10-25T05:00Z", "0.21"),
        ("2026-10-25T06:00Z", "0.31"),
    ],
)
def test_hours_follow_local_time(hour: str, price: str) -> None:
    hourly_price = price_of_hour(week(DAY_AND_NIGHT), datetime.fromisoformat(hour), BERLIN)
    assert hourly_price == Decimal(price)


def test_a_repeated_local_hour_is_priced_twice_and_a_skipped_one_never() -> None:
    prices = week(
        [
            period(ALL, "02:00", "03:00", "5"),
            period(ALL, "03:00", "02:00", "1"),
        ]
    )

    def dear_hours(day: str) -> int:
        first = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=BERLIN).astimezone(UTC)
        hours = [first + timedelta(hours=n) for n in range(6)]
        return sum(price_of_hour(prices, hour, BERLIN) == 5 for hour in hours)

    assert [dear_hours(day) for day in ("2026-03-28", "2026-03-29", "2026-10-25")] == [1, 0, 2]


def test_an_hour_that_spans_a_change_costs_the_mean_of_its_minutes() -> None:
    prices = week([period(ALL, "00:00", "12:45", "1"), period(ALL, "12:45", "24:00", "2")])
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert price_of_hour(prices, noon, UTC) == Decimal("1.25")
    # In a zone that is off by 30 minutes the same change falls into another UTC hour.
    kolkata = ZoneInfo("Asia/Kolkata")
    assert price_of_hour(prices, datetime(2026, 3, 2, 7, tzinfo=UTC), kolkata) == Decimal("1.75")


def test_clocks_that_change_within_a_utc_hour_are_followed_by_the_minute() -> None:
    """Lord Howe Island goes forward by 30 minutes at 02:00, which is 15:30 UTC."""
    prices = week([period(ALL, "02:00", "02:30", "60"), period(ALL, "02:30", "02:00", "1")])
    island = ZoneInfo("Australia/Lord_Howe")
    forward = datetime(2026, 10, 3, 15, tzinfo=UTC)
    assert price_of_hour(prices, forward, island) == 1
    back = datetime(2026, 4, 4, 15, tzinfo=UTC)  # 02:00 of summer becomes 01:30, until 02:30
    assert price_of_hour(prices, back - timedelta(hours=1), island) == 1
    assert price_of_hour(prices, back, island) == Decimal("30.5")
    usual = datetime(2026, 7, 3, 15, tzinfo=UTC)  # 01:30 to 02:30 by its winter's clocks
    assert price_of_hour(prices, usual, island) == Decimal("30.5")


@given(
    edges=st.lists(st.integers(0, MIN_PER_DAY - 1), min_size=2, max_size=6, unique=True),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
    days=st.integers(0, 364),
)
def test_the_hours_of_a_day_sum_up_to_its_minutes(edges: list[int], zone: str, days: int) -> None:
    """Any partition of the day covers it, and hours lose nothing of its prices."""
    edges.sort()
    hh = [f"{edge // 60:02}:{edge % 60:02}" for edge in edges]
    entered_periods = [
        period(ALL, begin, end, n + 1)
        for n, (begin, end) in enumerate(zip(hh, [*hh[1:], hh[0]], strict=True))
    ]
    prices = week(entered_periods)
    place = ZoneInfo(zone)
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    hours = [start + timedelta(hours=n) for n in range(24)]
    total = sum(price_of_hour(prices, hour, place) for hour in hours)
    minutes = [(start + timedelta(minutes=n)).astimezone(place) for n in range(MIN_PER_DAY)]
    brute = sum(prices[at.weekday() * MIN_PER_DAY + at.hour * 60 + at.minute] for at in minutes)
    assert float(total) == pytest.approx(float(brute) / 60, rel=1e-12)
