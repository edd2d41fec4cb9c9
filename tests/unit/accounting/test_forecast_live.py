"""Projections of running jobs, and from energy and time to the other quantities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.bill.inputs import Factor, Factors, HourlyFactor
from pricetag.accounting.forecast.estimates import Forecast, between
from pricetag.accounting.forecast.price import Rate, Rates, quantities, rates_of
from pricetag.accounting.forecast.projection import (
    PACE_STD_RATIO,
    Counted,
    NoProjection,
    Range,
    Standing,
    progress_ratio,
    project,
)

ONE = ("train",)
TWO = ("train", "evaluate")


def standing(
    done: float | None,
    *,
    used: float,
    kinds: tuple[str, ...] = ONE,
    step: int | None = 0,
    first: float = 0.0,
    since: float | None = None,
    in_step: float | None = None,
    expected: tuple[Forecast | None, ...] = (),
) -> Standing:
    counted = None
    if done is not None:
        counted = Counted(done, 100.0, first, used if since is None else since)
    within = used if in_step is None else in_step
    return Standing(used, step, kinds, within, counted, expected)


def test_one_step_continues_at_its_pace() -> None:
    projection = project(standing(25.0, used=5.0))
    assert projection.value == pytest.approx(20.0)
    factor = math.exp(1.959964 * math.log1p(PACE_STD_RATIO))
    assert projection.low == pytest.approx(5 + 15 / factor)
    assert projection.high == pytest.approx(5 + 15 * factor)


@given(st.floats(5, 100), st.floats(1e-6, 1e6))
def test_a_projection_is_not_below_what_was_used_and_narrows_to_it(
    done: float, used: float
) -> None:
    projection = project(standing(done, used=used))
    assert used <= projection.low <= projection.value <= projection.high
    later = project(standing(min(done * 1.1, 100.0), used=used))
    assert later.high - later.low <= (projection.high - projection.low) * (1 + 1e-9)
    assert project(standing(100.0, used=used)) == Range(used, used, used)


def test_there_is_no_projection_before_five_percent() -> None:
    with pytest.raises(NoProjection, match=r"4.9% is done; a projection is made from 5% on"):
        project(standing(4.9, used=1.0))
    assert project(standing(5.0, used=1.0)).value == pytest.approx(20.0)
    with pytest.raises(NoProjection, match="no step of the job has begun"):
        project(standing(None, used=1.0, step=None))
    # A step without progress has not got further than in history.
    with pytest.raises(NoProjection, match=r"4.0% is done"):
        project(standing(None, used=7.0, in_step=0.4, expected=(between(8.0, 12.5),)))


def test_a_resumed_training_is_projected_by_its_pace_since_the_resumption() -> None:
    # At 60 of 100, 10 of them in this attempt, for 2 units; 40 to go.
    projection = project(standing(60.0, used=9.0, first=50.0, since=2.0))
    assert projection.value == pytest.approx(9 + 40 / 10 * 2)


def test_steps_to_come_use_the_figures_of_history() -> None:
    expected = (between(8.0, 12.0), between(1.0, 4.0))
    projection = project(standing(50.0, used=6.0, kinds=TWO, expected=expected))
    assert projection.value == pytest.approx(6 + 6 + 2)
    ahead = expected[1]
    assert projection.high - projection.value > ahead.high - ahead.value
    with pytest.raises(NoProjection, match=r"step 2 \(evaluate\) is to come, and no similar run"):
        project(standing(50.0, used=6.0, kinds=TWO))
    with pytest.raises(NoProjection, match=r"step 2 \(evaluate\) is to come"):
        project(standing(50.0, used=6.0, kinds=TWO, expected=(expected[0], None)))
    # In the last step nothing is to come.
    last = project(standing(50.0, used=9.0, kinds=TWO, step=1, since=1.0))
    assert last.value == pytest.approx(10.0)


def test_a_step_without_progress_takes_as_long_as_in_history() -> None:
    expected = (between(8.0, 12.5),)
    projection = project(standing(None, used=7.0, in_step=4.0, expected=expected))
    assert projection.value == pytest.approx(7 + 10 - 4)
    assert projection.low == pytest.approx(7 + 8 - 4)
    late = project(standing(None, used=15.0, in_step=11.0, expected=expected))
    assert late.value == late.low == 15.0
    assert late.high == pytest.approx(15 + 1.5)
    with pytest.raises(NoProjection, match=r"step 1 \(train\) reports no progress"):
        project(standing(None, used=7.0))


def test_history_is_used_until_a_step_has_a_pace() -> None:
    expected = (between(9.0, 9.0), between(10.0, 10.0))
    early = standing(2.0, used=9.5, kinds=TWO, step=1, since=0.1, expected=expected)
    assert project(early).value == pytest.approx(9.5 + 0.98 * 10)
    with pytest.raises(NoProjection, match=r"2.0% of step 2"):
        project(standing(2.0, used=9.5, kinds=TWO, step=1, since=0.1))


def test_progress_is_weighed_by_history() -> None:
    expected = (between(30.0, 30.0), between(10.0, 10.0))
    assert progress_ratio(standing(50.0, used=1.0, kinds=TWO, expected=expected)) == 0.375
    second = standing(50.0, used=1.0, kinds=TWO, step=1, expected=expected)
    assert progress_ratio(second) == pytest.approx(0.875)
    silent = standing(None, used=99.0, in_step=15.0, kinds=TWO, expected=expected)
    assert progress_ratio(silent) == pytest.approx(0.375)
    assert progress_ratio(standing(50.0, used=1.0, kinds=TWO)) is None
    assert progress_ratio(standing(50.0, used=1.0)) == 0.5
    assert progress_ratio(standing(None, used=1.0, step=None)) == 0.0


def factor(value: float, std: float = 0.0, unit: str = "USD") -> Factor:
    return Factor(value, unit, std, "estimated", "a source")


GRID = factor(500.0, 0.1, "g/kWh")
TARIFF = factor(0.3, unit="USD/kWh")


def test_quantities_follow_the_price_tag_s_formulas() -> None:
    rates = rates_of(Factors(factor(1.5), GRID, electricity_tariff=TARIFF, currency="USD"), 0)
    figures = quantities(Range(100.0, 90.0, 120.0), Range(2.0, 1.0, 4.0), rates)
    assert figures["duration_s"].value == 100.0
    assert figures["facility_energy_kwh"].value == pytest.approx(3.0)
    assert figures["facility_energy_kwh"].high == pytest.approx(6.0)  # the PUE is exact here
    assert figures["co2e_kg"].value == pytest.approx(1.5)
    high = 1.5 * math.exp(math.hypot(math.log(2), 1.959964 * math.log(1.1)))
    assert figures["co2e_kg"].high == pytest.approx(high)
    assert figures["cost"].value == pytest.approx(0.9)
    assert figures["cost"].unit == "USD"
    assert figures["cost"].reason == "electricity alone"


@pytest.mark.parametrize(
    ("more", "devices", "cost", "basis"),
    [
        ({"internal_price": factor(7.2)}, 2, 0.4 + 0.9, "owned hardware and electricity"),
        ({"cloud_price_low": factor(3.6), "cloud_price_high": factor(10.8)}, 2, 0.4, "cloud"),
        ({"cloud_price_high": factor(3.6)}, 0, 0.9, "electricity alone"),
    ],
)
def test_the_cost_is_composed_as_on_a_price_tag(
    more: dict[str, Factor], devices: int, cost: float, basis: str
) -> None:
    book = Factors(factor(1.5), GRID, electricity_tariff=TARIFF, currency="USD", **more)  # type: ignore[arg-type]
    figures = quantities(Range(100, 100, 100), Range(2.0, 2.0, 2.0), rates_of(book, devices))
    assert figures["cost"].value == pytest.approx(cost)
    assert figures["cost"].reason == basis


def test_unknown_figures_stay_unknown_with_their_reason() -> None:
    book = Factors(factor(1.5), None, carbon_intensity_reason="no zone")
    rates = rates_of(book, 1)
    figures = quantities("no history", Range(2.0, 1.0, 4.0), rates)
    assert figures["duration_s"].reason == "no history"
    assert figures["facility_energy_kwh"].value == pytest.approx(3.0)
    assert figures["co2e_kg"].reason == "no zone"
    assert figures["cost"].reason == "no tariff is known, and no price of these devices"
    nothing = quantities("no history", "no meter", rates_of(Factors(factor(1.5), GRID), 1))
    assert {q.reason for name, q in nothing.items() if name != "cost"} == {"no history", "no meter"}


def test_future_hours_use_the_mean() -> None:
    hourly = HourlyFactor(factor(250.0, 0.1, "g/kWh"), {})
    rates = rates_of(Factors(factor(1.0), None, carbon_hours=hourly), 0)
    assert rates.carbon is not None
    assert rates.carbon.value == 0.25
    assert rates.carbon.log_half == pytest.approx(1.959964 * math.log(1.1))


def test_rates_are_read_as_they_were_written() -> None:
    book = Factors(factor(1.5, 0.03), GRID, electricity_tariff=TARIFF, currency="USD")
    rates = rates_of(book, 0)
    assert Rates.from_dict(rates.as_dict()) == rates


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(1, 10), st.floats(0, 1e3), st.floats(0, 5))
def test_a_product_s_interval_contains_its_value(
    value: float, down: float, up: float, rate: float, log_half: float
) -> None:
    product = Rate(rate, log_half).of(Range(value, value * down, value * up))
    assert product.low <= product.value * (1 + 1e-9)
    assert product.value <= product.high * (1 + 1e-9)
