"""View models of the energy pages: words, units, charts, periods."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.charts import energy as charts
from app.charts.chart import LAB
from app.charts.steady import SteadyCharts
from app.schemas.burn_down import BurnCrossing
from app.schemas.energy import EnergyOverTime
from app.web.views import budgets, energy, periods
from app.web.views.periods import InvalidPeriodError
from tests.support.charts import NAME, an_account, some_hours

NOW = datetime(2026, 3, 15, 14, 30, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMPTY = charts.Part(NOON, NOON + timedelta(hours=1), "g", 0.0)
LABELS: dict[str, Any] = {
    "measure": "m",
    "unit": "kWh",
    "title": "t",
    "summary": "s",
    "projects": LAB,
}


def quantity(value: float, spread: float = 0.1) -> dict[str, Any]:
    low, high = value * (1 - spread), value * (1 + spread)
    return {"value": value, "low": low, "high": high, "unit": "kWh", "source": "counter"}


def test_a_change_within_the_errors_is_stated_as_none() -> None:
    change = {"difference_kwh": 1.0, "low": -1.0, "high": 3.0, "is_larger_than_error": False}
    assert energy.change(change).text == "no difference that these measurements could show"
    larger = {"difference_kwh": -0.002, "low": -0.003, "high": -0.001, "is_larger_than_error": True}
    shown = energy.change(larger)
    assert (shown.text, shown.interval) == ("-2.00 Wh", "-3.00 to -1.00")
    assert energy.change(dict.fromkeys(larger)).text == "the previous period is unknown"


@pytest.mark.parametrize(
    ("crossing", "unknown_runs", "tone", "text"),
    [
        ((None, None, None, "the limit has already been reached"), 0, "bad", "used up"),
        ((NOON, NOON, NOON, None), 0, "near", "expected to be used up"),
        ((None, NOON, None, "it may not"), 1, "near", "may be used up from"),
        ((None, None, None, "nothing runs"), 0, "calm", "not expected to be used up"),
        (
            (None, None, None, "no use is known"),
            2,
            "near",
            "the time at which it is used up is unknown",
        ),
    ],
)
def test_the_state_of_a_budget_is_a_word_and_a_time(
    crossing: tuple[Any, ...], unknown_runs: int, tone: str, text: str
) -> None:
    read = BurnCrossing(**dict(zip(("at", "low", "high", "reason"), crossing, strict=True)))
    shown = budgets.crossing(read, is_over=tone == "bad", unknown_runs=unknown_runs)
    assert (shown.tone, shown.text) == (tone, text)


def test_parts_of_a_bar_are_on_each_other_in_the_order_of_their_groups() -> None:
    chart = an_account()
    first = [(row["group"], row["base"], row["top"]) for row in chart.rows[:2]]
    assert first == [("text", 0.0, 1.0), (NAME, 1.0, 2.0)]
    assert chart.rows[2]["base"] == 0.0
    negative = replace(EMPTY, value=-3.0)
    [row] = charts.stacked([negative], ["g"], **LABELS).rows
    assert (row["value"], row["base"], row["top"]) == (-3.0, 0.0, 0.0)


def test_hours_that_are_not_recorded_are_gaps_of_line_and_ground() -> None:
    made = json.loads(some_hours().content)
    assert made["datasets"]["gaps"] == [
        {"from": "2026-03-01T13:00:00Z", "until": "2026-03-01T15:00:00Z"}
    ]
    values = [row["value"] for row in made["datasets"]["drawn"]]
    assert values == [100.0, None, None, 103.0, 104.0, 104.0]  # the last hour has its length


def test_an_account_over_time_has_one_unit_and_whole_buckets() -> None:
    read = EnergyOverTime.model_validate(
        {
            "from": NOON,
            "to": NOON + timedelta(hours=3),
            "by": "use",
            "grain": "hour",
            "node": None,
            "groups": [{"name": "unallocated", "kind": "use"}],
            "buckets": [
                {
                    "start": NOON + timedelta(hours=n),
                    "total_kwh": quantity(0.002 + 0.001 * n),
                    "parts_kwh": [quantity(0.002 + 0.001 * n)],
                    "flags": [],
                }
                for n in (0, 2)
            ],
        }
    )
    chart = energy.over_time(read, frozenset({"secret"}))
    assert chart is not None
    assert [row["value"] for row in chart.rows] == pytest.approx([2.0, 4.0])
    assert [row["low"] for row in chart.rows] == pytest.approx([1.8, 3.6])
    assert chart.rows[1]["start"] == chart.rows[0]["stop"].replace("13", "14")  # type: ignore[union-attr]
    assert chart.columns[2].heading == "IT energy [Wh]"
    assert chart.summary == (
        "The hour with the most energy is 03-01 14:00, 4.00 Wh, the one with the least 03-01 "
        "12:00, 2.00 Wh; unallocated: 100.0% of all."
    )
    assert chart.projects == frozenset()  # everybody sees the uses of the lab
    by_user = energy.over_time(read.model_copy(update={"by": "user"}), frozenset({"secret"}))
    assert by_user is not None
    assert by_user.projects == {"secret"}


@pytest.mark.parametrize(
    ("grain", "end"), [("hour", (3, 1, 13)), ("day", (3, 2, 12)), ("month", (4, 1, 12))]
)
def test_a_bucket_ends_where_the_next_begins(grain: str, end: tuple[int, int, int]) -> None:
    stop = energy.after(NOON, grain)
    assert (stop.month, stop.day, stop.hour) == end


def test_a_period_is_a_name_or_two_days_that_are_both_included() -> None:
    week = periods.period(None, None, None, NOW, "7d")
    assert (week.stop - week.start, week.name) == (timedelta(days=7), "7d")
    assert week.query == {"period": "7d", "from": None, "to": None}
    days = periods.period("7d", date(2026, 3, 2), date(2026, 3, 3), NOW, "7d")
    assert (days.start.day, days.stop.day, days.name) == (2, 4, None)
    assert days.query == {"period": None, "from": "2026-03-02", "to": "2026-03-03"}
    today = periods.period(None, date(2026, 3, 15), None, NOW, "7d")
    assert today.stop == NOW.replace(hour=15, minute=0)
    last = periods.period("last-month", None, None, NOW, "7d")
    assert (last.start, last.stop) == (datetime(2026, 2, 1, tzinfo=UTC), last.stop)
    assert last.stop == datetime(2026, 3, 1, tzinfo=UTC)
    for first, second in ((date(2026, 3, 3), date(2026, 3, 2)), (date(2027, 1, 1), None)):
        with pytest.raises(InvalidPeriodError):
            periods.period(None, first, second, NOW, "7d")


def test_a_chart_is_redrawn_after_five_minutes_or_an_event() -> None:
    part = charts.Part(NOON, NOON + timedelta(hours=1), "g", 1.0)
    made = [charts.stacked([part], ["g"], **LABELS) for _ in range(5)]
    kept = SteadyCharts()
    assert kept.of("a", 1, made[0], NOON) is made[0]
    assert kept.of("a", 1, made[1], NOON + timedelta(seconds=299)) is made[0]
    assert kept.of("b", 1, made[2], NOON) is made[2]
    assert kept.of("a", 2, made[3], NOON) is made[3]
    assert kept.of("a", 2, made[4], NOON + timedelta(seconds=300)) is made[4]
