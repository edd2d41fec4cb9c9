"""Windows cut at the full hours of UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.readings.hours import energy_by_hour_j, hour_spans
from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.reading import Reading

OPENED = datetime(2026, 11, 21, 3, 59, 30, tzinfo=UTC)


def steady(last_s: int, step_s: int = 1) -> EnergyLedger:
    readings = [
        Reading(float(t), 100.0 * t, 100.0 * t, 100.0) for t in range(0, last_s + 1, step_s)
    ]
    return EnergyLedger(readings)


def test_energy_falls_into_the_hour_in_which_it_was_used() -> None:
    assert energy_by_hour_j(steady(90), OPENED, 0, 90) == {
        "2026-11-21T03:00:00+00:00": pytest.approx(3_000.0),
        "2026-11-21T04:00:00+00:00": pytest.approx(6_000.0),
    }


def test_hours_are_those_of_utc() -> None:
    nepal = OPENED.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert list(hour_spans(nepal, 0, 90)) == list(hour_spans(OPENED, 0, 90))


def test_hours_without_energy_are_omitted_however_long_a_window_is() -> None:
    by_hour = energy_by_hour_j(steady(10), OPENED, 0, 1e9)
    assert by_hour == {"2026-11-21T03:00:00+00:00": pytest.approx(1_000.0)}
    assert energy_by_hour_j(EnergyLedger([]), OPENED, 0, 1e9) == {}
    assert energy_by_hour_j(steady(10), OPENED, 20, 30) == {}


def test_a_window_that_ends_with_the_hour_does_not_touch_the_next() -> None:
    assert [span.key for span in hour_spans(OPENED, 0, 30)] == ["2026-11-21T03:00:00+00:00"]
    assert [span.key for span in hour_spans(OPENED, 30, 31)] == ["2026-11-21T04:00:00+00:00"]
    assert list(hour_spans(OPENED, 30, 30)) == []


def test_a_time_without_a_zone_is_rejected() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        list(hour_spans(OPENED.replace(tzinfo=None), 0, 1))


@given(st.floats(0, 20_000), st.floats(0, 20_000), st.integers(0, 3_599_999_999))
def test_hours_adjoin_and_add_up_to_the_window(a_s: float, b_s: float, offset_us: int) -> None:
    start_s, end_s = sorted((a_s, b_s))
    opened = OPENED + timedelta(microseconds=offset_us)
    spans = list(hour_spans(opened, start_s, end_s))
    for before, after in pairwise(spans):
        assert before.end_s == after.start_s
        assert after.hour - before.hour == timedelta(hours=1)
    for span in spans:
        middle = opened + timedelta(seconds=(span.start_s + span.end_s) / 2)
        assert span.hour <= middle + timedelta(microseconds=1)
        assert middle <= span.hour + timedelta(hours=1, microseconds=1)
    ledger = steady(18_000, 600)
    total_j = sum(energy_by_hour_j(ledger, opened, start_s, end_s).values())
    assert total_j == pytest.approx(ledger.charged_j(start_s, end_s), rel=1e-9, abs=1e-6)
