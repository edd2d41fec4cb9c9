"""Predictions from similar figures: golden values of Student's t, and properties of samples."""

from __future__ import annotations

import math
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.forecast.estimates import Spread, between, predict, student_t_975
from pricetag.accounting.quantity.checks import InvalidFactor

FIGURES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)
PRIORS = st.builds(Spread, st.floats(0.01, 2.0), st.integers(1, 10))


@pytest.mark.parametrize(
    ("df", "quantile"),
    [
        # Abramowitz and Stegun 1964, table 26.10, column A = 0.95.
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (5, 2.571),
        (10, 2.228),
        (29, 2.045),
        (30, 2.042),
        (60, 2.000),
        (120, 1.980),
        (100_000, 1.960),
    ],
)
def test_students_t_is_that_of_the_tables(df: int, quantile: float) -> None:
    assert student_t_975(df) == pytest.approx(quantile, abs=5e-4)


def test_one_figure_has_the_spread_that_was_assumed() -> None:
    forecast = predict([2.0], Spread(0.1, df=3))
    assert forecast.value == 2.0
    assert forecast.log_half == pytest.approx(3.18245 * math.log(1.1) * math.sqrt(2), rel=1e-5)


def test_many_figures_have_their_own_spread() -> None:
    figures = [math.exp(0.3 * (-1) ** number) for number in range(200)]
    logs = [math.log(figure) for figure in figures]
    forecast = predict(figures, Spread(0.1, df=3))
    assert forecast.value == pytest.approx(1.0)
    assert forecast.log_half == pytest.approx(1.972 * stdev(logs), rel=0.02)


@given(FIGURES, PRIORS, st.floats(0, 2))
def test_the_interval_contains_the_median_which_lies_among_the_figures(
    figures: list[float], prior: Spread, extra: float
) -> None:
    forecast = predict(figures, prior, extra_std_ratio=extra)
    assert forecast.low <= forecast.value <= forecast.high
    assert min(figures) * (1 - 1e-9) <= forecast.value <= max(figures) * (1 + 1e-9)


@given(FIGURES, PRIORS, st.floats(1e-3, 1e3))
def test_a_prediction_scales_with_its_figures(
    figures: list[float], prior: Spread, scale: float
) -> None:
    plain = predict(figures, prior)
    scaled = predict([scale * figure for figure in figures], prior)
    assert scaled.value == pytest.approx(scale * plain.value, rel=1e-9)
    assert scaled.log_half == pytest.approx(plain.log_half, rel=1e-6, abs=1e-9)


@given(FIGURES, PRIORS, st.integers(2, 5))
def test_more_repeats_of_the_same_figures_never_widen_the_interval(
    figures: list[float], prior: Spread, times: int
) -> None:
    logs = [math.log(figure) for figure in figures]
    # A prior narrower than what is seen gives way to it: the interval may then grow.
    if len(logs) > 1 and stdev(logs) > math.log1p(prior.std_ratio):
        return
    once = predict(figures, prior)
    often = predict(figures * times, prior)
    assert often.log_half <= once.log_half * (1 + 1e-9)
    assert often.value == pytest.approx(once.value, rel=1e-9)


@given(FIGURES, PRIORS, st.floats(0.01, 2), st.floats(0.01, 2))
def test_a_further_error_widens_the_interval(
    figures: list[float], prior: Spread, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    halves = [predict(figures, prior, extra_std_ratio=extra).log_half for extra in (0, less, more)]
    assert halves == sorted(halves)


def test_coverage_is_that_of_a_95_percent_interval() -> None:
    """Normal logarithms of a known spread: 95 of 100 next figures lie inside."""
    import random

    draw = random.Random(0)
    inside = 0
    for _ in range(2_000):
        figures = [math.exp(draw.gauss(0, 0.2)) for _ in range(6)]
        forecast = predict(figures[:5], Spread(0.2, df=3))
        inside += forecast.low <= figures[5] <= forecast.high
    assert 0.94 < inside / 2_000 < 0.98


@pytest.mark.parametrize("figures", [[], [0.0], [-1.0, 2.0], [math.nan], [math.inf]])
def test_impossible_figures_are_rejected(figures: list[float]) -> None:
    with pytest.raises(InvalidFactor, match="seen"):
        predict(figures, Spread(0.1))


def test_a_range_is_its_own_interval() -> None:
    forecast = between(0.02, 0.6)
    assert forecast.low == pytest.approx(0.02)
    assert forecast.high == pytest.approx(0.6)
    assert forecast.value == pytest.approx(math.sqrt(0.012))


def test_independent_errors_of_a_product_add_in_quadrature() -> None:
    product = predict([1.0], Spread(0.1)).times(3.0, 0.4)
    assert product.value == 3.0
    assert product.log_half == pytest.approx(math.hypot(predict([1.0], Spread(0.1)).log_half, 0.4))
