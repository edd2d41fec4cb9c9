"""What starting later would have saved, over recorded intensities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pricetag.accounting.forecast.later import later

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_delay_into_cleaner_hours_saves_and_one_into_dirtier_hours_costs() -> None:
    hours = {START + n * HOUR: 100.0 if (START + n * HOUR).hour < 12 else 300.0 for n in range(96)}
    night, day = (
        {one.delay_h: one for one in later(hours, duration_h=2, start_hour=h, delays_h=(1, 12, 24))}
        for h in (13, 1)
    )
    assert night[12].mean == pytest.approx(2 / 3)
    assert [night[12].low, night[12].high] == pytest.approx([2 / 3, 2 / 3])
    assert night[12].starts == 3
    assert night[24].mean == pytest.approx(0.0)
    assert day[12].mean == pytest.approx(-2.0)
    assert day[1].mean == pytest.approx(0.0)


def test_the_saving_of_all_days_weighs_each_by_its_emissions() -> None:
    hours = {}
    for day, (at_once, delayed) in enumerate(((100.0, 200.0), (100.0, 200.0), (700.0, 100.0))):
        hours[START + timedelta(days=day)] = at_once
        hours[START + timedelta(days=day) + HOUR] = delayed
    [one] = later(hours, duration_h=1, start_hour=0, delays_h=(1,))
    assert one.mean == pytest.approx(1 - 500 / 900)
    assert [one.low, one.high] == pytest.approx([-1.0, 6 / 7])


def test_runs_that_reach_into_a_gap_do_not_count() -> None:
    hours = {START + n * HOUR: 100.0 for n in range(96) if n != 49}
    [one] = later(hours, duration_h=2, start_hour=0, delays_h=(6,))
    assert one.starts == 3
    [few] = later(hours, duration_h=2, start_hour=0, delays_h=(48,))
    assert (few.mean, few.low, few.high, few.starts) == (None, None, None, 1)
