"""The fan of a budget's expected use, and when it reaches the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.budgets.burn_down import OpenUse, Span3, fan


def exactly(value: float) -> Span3:
    return Span3(value, value, value)


def use(amount: float, start_s: float, duration_s: float) -> OpenUse:
    return OpenUse(exactly(amount), exactly(start_s), exactly(duration_s))


def test_a_run_uses_its_amount_evenly_from_start_to_end() -> None:
    curve = fan(10.0, [use(20.0, 100.0, 50.0)])
    assert [curve.at(t_s).value for t_s in (0, 100, 125, 150, 1000)] == [10, 10, 20, 30, 30]


def test_runs_at_the_same_time_add_up() -> None:
    curve = fan(0.0, [use(10.0, 0.0, 10.0), use(30.0, 5.0, 10.0)])
    assert [curve.at(t_s).value for t_s in (5, 10, 15)] == [5, 25, 40]


def test_the_range_is_least_and_latest_to_most_and_earliest() -> None:
    one = OpenUse(Span3(10, 5, 20), Span3(10, 0, 20), Span3(10, 5, 40))
    curve = fan(1.0, [one])
    assert curve.at(5.0) == Span3(1.0, 1.0, 21.0)
    assert curve.at(15.0) == Span3(6.0, 1.0, 21.0)
    assert curve.at(100.0) == Span3(11.0, 6.0, 21.0)


def test_the_crossing_has_an_interval_or_none_where_the_limit_is_not_reached() -> None:
    one = OpenUse(Span3(10, 5, 20), Span3(0, 0, 0), Span3(10, 10, 10))
    curve = fan(0.0, [one])
    assert curve.crossing(5.0) == (5.0, 2.5, 10.0)
    assert curve.crossing(8.0) == (8.0, 4.0, None)
    assert curve.crossing(15.0) == (None, 7.5, None)
    assert curve.crossing(21.0) == (None, None, None)
    assert curve.crossing(8.0, until_s=5.0) == (None, 4.0, None)
    assert fan(5.0, []).crossing(5.0) == (0.0, 0.0, 0.0)


def test_a_run_without_a_duration_uses_everything_at_once() -> None:
    curve = fan(0.0, [use(10.0, 3.0, 0.0)])
    assert [curve.at(t_s).value for t_s in (2.9, 3.0)] == [0, 10]
    assert curve.crossing(4.0)[0] == 3.0


AMOUNTS = st.tuples(*[st.floats(0, 1e6)] * 3).map(sorted).map(lambda t: Span3(t[1], t[0], t[2]))
USES = st.lists(st.builds(OpenUse, AMOUNTS, AMOUNTS, AMOUNTS), max_size=6)


@given(used=st.floats(0, 1e6), uses=USES, times=st.lists(st.floats(0, 3e6), max_size=5))
def test_curves_rise_stay_in_order_and_end_at_the_sum(
    used: float, uses: list[OpenUse], times: list[float]
) -> None:
    curve = fan(used, uses)
    slack = 1e-6 * (1 + used + sum(each.amount.high for each in uses))
    before = used
    for t_s in sorted(times):
        now = curve.at(t_s)
        assert now.low - slack <= now.value <= now.high + slack
        assert now.value >= before - slack
        before = now.value
    end = curve.at(1e12)
    for name in ("low", "value", "high"):
        expected = used + sum(getattr(each.amount, name) for each in uses)
        assert getattr(end, name) == pytest.approx(expected, abs=slack)
