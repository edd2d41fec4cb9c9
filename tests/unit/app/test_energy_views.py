"""View models of the energy pages: words, units, geometry of plots, periods."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.schemas.burn_down import BurnCrossing
from app.schemas.energy import EnergyOverTime
from app.web.views import budgets, energy, periods, plots
from app.web.views.periods import InvalidPeriodError

NOW = datetime(2026, 3, 15, 14, 30, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def quantity(value: float, spread: float = 0.1) -> dict[str, Any]:
    low, high = value * (1 - spread), value * (1 + spread)
    return {"value": value, "low": low, "high": high, "unit": "kWh", "source": "counter"}


def test_a_change_within_the_errors_is_stated_as_none() -> None:
    change = {"difference_kwh": 1.0, "low": -1.0, "high": 3.0, "is_larger_than_error": False}
    assert energy.change(change).text == "no difference that these measurements could show"
    larger = {"difference_kwh": -0.002, "low": -0.003, "high": -0.001, "is_larger_than_error": True}
    shown = energy.change(larger)
    assert (shown.text, shown.interval) == ("-2.00 Wh", "-3.00 to -1.00")
    assert energy.change(dict.fromkeys(larger)).text == "the period before is unknown"


@pytest.mark.parametrize(
    ("crossing", "tone", "text"),
    [
        ((None, None, None, "the limit is reached already"), "bad", "used up"),
        ((NOON, NOON, NOON, None), "near", "expected to be used up"),
        ((None, NOON, None, "it may not"), "near", "may be used up from"),
        ((None, None, None, "nothing runs"), "calm", "not expected to be used up"),
    ],
)
def test_the_state_of_a_budget_is_a_word_and_a_time(
    crossing: tuple[Any, ...], tone: str, text: str
) -> None:
    read = BurnCrossing(**dict(zip(("at", "low", "high", "reason"), crossing, strict=True)))
    shown = budgets.crossing(read, is_over=tone == "bad")
    assert (shown.tone, shown.text) == (tone, text)


@pytest.mark.parametrize(
    ("largest", "top"),
    [(0.0, 1.0), (11.0, 12.0), (28.0, 30.0), (0.0079, 0.008), (64_000.0, 80_000)],
)
def test_an_axis_ends_at_the_smallest_round_number(largest: float, top: float) -> None:
    assert plots.top_of(largest) == pytest.approx(top)


def test_bars_stand_on_each_other_and_end_at_the_top() -> None:
    bars = plots.stacked([[3.0, 1.0], [0.0, 2.0]], [["a", "b"], ["c", "d"]], 4.0, [0, 9])
    assert [(bar.series, bar.y, bar.height) for bar in bars] == [
        (0, 25.0, 75.0),
        (9, 0.0, 25.0),
        (9, 50.0, 50.0),
    ]
    assert bars[0].x < bars[2].x
    assert plots.line("x", [(0.0, 0.0), (1.0, 8.0)], 4.0).points == "0.0,100.0 1000.0,0.0"


def test_every_hour_day_and_month_of_a_range_is_a_bucket() -> None:
    stop = NOON + timedelta(days=40)
    assert len(plots.buckets(NOON, NOON + timedelta(hours=5), "hour")) == 5
    days = plots.buckets(NOON, stop, "day")
    assert (days[0].hour, len(days)) == (0, 41)
    assert [at.month for at in plots.buckets(NOON, stop, "month")] == [3, 4]


def test_a_bucket_without_energy_is_a_gap_in_the_chart_and_no_row() -> None:
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
                    "total_kwh": quantity(2.0 + n),
                    "parts_kwh": [quantity(2.0 + n)],
                    "flags": [],
                }
                for n in (0, 2)
            ],
        }
    )
    view = energy.over_time(read)
    assert len(view.rows) == 2
    assert len(view.plot.bars) == 2
    assert view.plot.bars[1].x > 2 * view.plot.bars[0].width
    assert view.groups == [(10, "unallocated")]  # in the color of what is not charged
    assert view.summary == (
        "The hour of most energy is 03-01 14:00 with 4.00 kWh, that of least 03-01 12:00 with "
        "2.00 kWh; unallocated: 100.0% of all."
    )


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
