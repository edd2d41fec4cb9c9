"""Ratios of repeated runs, and the t distribution behind their interval."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from pricetag.accounting.quantity import repeats
from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.quantity.repeats import repeat_ratio
from pricetag.accounting.quantity.student import t_quantile


@pytest.mark.parametrize("freedom", [1.0, 1.3, 2.0, 2.7, 9.0, 57.2, 144.0, 145.0, 1e4])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.975, 0.995])
def test_the_quantile_is_that_of_scipy(probability: float, freedom: float) -> None:
    expected = stats.t.ppf(probability, freedom)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_with_many_degrees_it_is_the_normal_one() -> None:
    assert t_quantile(0.975, 1e9) == pytest.approx(1.959964, rel=1e-5)


@pytest.mark.parametrize(("probability", "freedom"), [(0.4, 3.0), (1.0, 3.0), (0.9, 0.5), (0.9, 0)])
def test_an_invalid_probability_or_degree_of_freedom_is_rejected(
    probability: float, freedom: float
) -> None:
    with pytest.raises(InvalidFactor):
        t_quantile(probability, freedom)


def test_a_ratio_by_hand() -> None:
    """Means 10 and 5, equal relative spread: s/m = 0.1, three repeats each."""
    ratio = repeat_ratio([9.0, 10.0, 11.0], [4.5, 5.0, 5.5])
    assert ratio.value == 2.0
    assert ratio.degrees_of_freedom == pytest.approx(4.0)
    half = 2.7764451 * math.sqrt(2 * 0.01 / 3)
    assert ratio.low == pytest.approx(2 * math.exp(-half))
    assert ratio.high == pytest.approx(2 * math.exp(half))
    assert ratio.reason is None


groups = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=6)


@settings(max_examples=40)
@given(groups, groups)
def test_the_inverse_ratio_has_the_mirrored_interval(
    first: list[float], second: list[float]
) -> None:
    one, other = repeat_ratio(first, second), repeat_ratio(second, first)
    assert one.value * other.value == pytest.approx(1.0)
    assert one.low is not None
    assert other.high is not None
    assert one.low * other.high == pytest.approx(1.0)
    assert one.low <= one.value


@settings(max_examples=40)
@given(groups, groups, st.floats(0.01, 100.0))
def test_a_common_gain_cancels(first: list[float], second: list[float], gain: float) -> None:
    plain = repeat_ratio(first, second)
    scaled = repeat_ratio([gain * x for x in first], [gain * x for x in second])
    assert scaled.value == pytest.approx(plain.value)
    assert scaled.high == pytest.approx(plain.high)


@pytest.mark.parametrize(("first", "second"), [([2.0], [1.0, 1.1]), ([2.0, 2.1], [1.0])])
def test_one_repeat_has_no_spread(first: list[float], second: list[float]) -> None:
    ratio = repeat_ratio(first, second)
    assert ratio.value == pytest.approx(2.0, rel=0.1)
    assert ratio.low is ratio.high is None
    assert "at least 2 repeats" in str(ratio.reason)


def test_identical_repeats_are_noted() -> None:
    ratio = repeat_ratio([2.0, 2.0], [1.0, 1.0])
    assert (ratio.low, ratio.high) == (2.0, 2.0)
    assert "same figure" in str(ratio.reason)


@pytest.mark.parametrize(("first", "second"), [([], [1.0]), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_figures_without_a_ratio_are_rejected(first: list[float], second: list[float]) -> None:
    with pytest.raises(InvalidFactor):
        repeat_ratio(first, second)


def test_the_interval_contains_the_true_ratio_as_often_as_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """4,000 pairs of groups of four with 5% and 10% scatter: 95% of intervals hold 1.5."""
    # SciPy's quantile is the same one, as tested above, and a hundred times as fast.
    monkeypatch.setattr(repeats, "t_quantile", lambda p, freedom: special.stdtrit(freedom, p))
    draw = random.Random(0)
    hits = 0
    for _ in range(4_000):
        ratio = repeat_ratio(
            [draw.gauss(1.5, 0.075) for _ in range(4)], [draw.gauss(1.0, 0.1) for _ in range(4)]
        )
        hits += (ratio.low or 0.0) <= 1.5 <= (ratio.high or 0.0)
    assert hits / 4_000 == pytest.approx(0.95, abs=0.015)
