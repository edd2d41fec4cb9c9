from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.quantity.uncertainty import (
    Z_95,
    Multiplier,
    Term,
    combine,
    counter_edge_std_ratio,
    log_sigma,
)


@pytest.mark.parametrize(("window_s", "percent"), [(1, 4.1), (5, 0.82), (10, 0.41), (60, 0.07)])
def test_counter_edges_as_published(window_s: float, percent: float) -> None:
    assert 100 * counter_edge_std_ratio(window_s) == pytest.approx(percent, rel=0.05)


def test_counter_edges_against_a_simulated_counter() -> None:
    """Two edges, each late by a uniform part of a tick."""
    rng = random.Random(3)
    errors = [rng.uniform(0, 0.1) - rng.uniform(0, 0.1) for _ in range(40_000)]
    assert counter_edge_std_ratio(2.0) == pytest.approx(statistics.pstdev(errors) / 2, rel=0.02)


def test_gains_of_one_model_add_linearly() -> None:
    same = [Term(100.0, "gpu:A100", 0.05) for _ in range(4)]
    interval = combine(same)
    assert interval.high == pytest.approx(400 * (1 + Z_95 * 0.05))
    assert interval.low == pytest.approx(400 * (1 - Z_95 * 0.05))


def test_other_errors_add_in_quadrature() -> None:
    different = [Term(100.0, f"gpu:{n}", 0.05) for n in range(4)]
    assert combine(different).high == pytest.approx(400 * (1 + Z_95 * 0.05 / 2))
    edges = [Term(100.0, "gpu:A100", 0.0, own_std_ratio=0.05) for _ in range(4)]
    assert combine(edges).high == pytest.approx(400 * (1 + Z_95 * 0.05 / 2))


def test_factors_of_a_product_add_in_quadrature() -> None:
    interval = combine([Term(50.0, "gpu", 0.03)], [Multiplier("pue", 0.04)])
    assert interval.high == pytest.approx(50 * (1 + Z_95 * 0.05))


def test_an_interval_never_reaches_below_zero() -> None:
    assert combine([Term(1.0, "guess", 0.9)]).low == 0.0


def test_times_or_divided_by_two_is_exact_when_alone() -> None:
    interval = combine([Term(8.0, "ram:model", 1.0, multiplicative=True)])
    assert interval.low == pytest.approx(8 / 2**Z_95)
    assert interval.high == pytest.approx(8 * 2**Z_95)


def test_monte_carlo_of_a_log_normal_product_meets_its_closed_form() -> None:
    terms = [Term(10.0, "ram:model", 1.0, multiplicative=True)]
    factor = Multiplier("embodied", 0.5, multiplicative=True)
    sigma = math.hypot(log_sigma(1.0), log_sigma(0.5))
    interval = combine(terms, [factor], seed=5)
    assert interval.low == pytest.approx(10 * math.exp(-Z_95 * sigma), rel=0.08)
    assert interval.high == pytest.approx(10 * math.exp(Z_95 * sigma), rel=0.08)


def test_monte_carlo_of_mixed_errors_against_a_plain_simulation() -> None:
    rng = random.Random(11)
    totals = sorted(
        100 * (1 + 0.05 * rng.gauss(0, 1)) + 30 * math.exp(math.log(2) * rng.gauss(0, 1))
        for _ in range(40_000)
    )
    interval = combine(
        [Term(100.0, "gpu:A100", 0.05), Term(30.0, "ram:model", 1.0, multiplicative=True)]
    )
    assert interval.low == pytest.approx(totals[1_000], rel=0.03)
    assert interval.high == pytest.approx(totals[39_000], rel=0.05)


def test_the_seed_determines_the_interval() -> None:
    terms = [Term(5.0, "cpu:model", 0.45, multiplicative=True), Term(9.0, "gpu:A100", 0.05)]
    assert combine(terms, seed=1) == combine(terms, seed=1)
    assert combine(terms, seed=1) != combine(terms, seed=2)


TERMS = st.lists(
    st.builds(
        Term,
        st.floats(0, 1e6),
        st.sampled_from(["a", "b", "c"]),
        st.floats(0, 1.5),
        st.floats(0, 0.5),
        st.booleans(),
    ),
    max_size=6,
)


@given(TERMS, st.lists(st.builds(Multiplier, st.just("pue"), st.floats(0, 0.5)), max_size=1))
def test_the_interval_contains_the_value(terms: list[Term], factors: list[Multiplier]) -> None:
    value = sum(term.value for term in terms)
    interval = combine(terms, factors)
    assert 0 <= interval.low <= value * (1 + 1e-12)
    assert interval.high >= value * (1 - 1e-12)
