"""Sums of figures whose errors may be the same."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.quantity.quantity import Quantity, Source
from pricetag.accounting.quantity.together import sum_together


def kwh(value: float, spread: float, source: Source = "counter") -> Quantity:
    return Quantity(value, value - spread, value + spread, "kWh", source)


def test_ends_of_intervals_are_added() -> None:
    total = sum_together({"a": kwh(1.0, 0.1), "b": kwh(2.0, 0.3, "modelled")}, "kWh")
    assert (total.value, total.low, total.high) == pytest.approx((3.0, 2.6, 3.4))
    assert (total.unit, total.source) == ("kWh", "modelled")


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1)), min_size=1, max_size=8))
def test_the_interval_is_never_narrower_than_that_of_independent_errors(
    parts: list[tuple[float, float]],
) -> None:
    quantities = {str(n): kwh(value, value * share) for n, (value, share) in enumerate(parts)}
    total = sum_together(quantities, "kWh")
    independent = sum((value * share) ** 2 for value, share in parts) ** 0.5
    assert total.high is not None
    assert total.value is not None
    assert total.high - total.value >= independent * (1 - 1e-9) - 1e-9 * total.value


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.randoms())
def test_the_order_of_the_parts_does_not_change_the_last_digit(
    values: list[float], random: Random
) -> None:
    shuffled = random.sample(values, len(values))
    sums = [
        sum_together({str(n): kwh(value, 0.1) for n, value in enumerate(each)}, "kWh")
        for each in (values, shuffled)
    ]
    assert sums[0] == sums[1]
    assert sums[0].value == float(sum(map(Fraction, values)))


def test_one_unknown_part_makes_the_sum_unknown() -> None:
    parts = {"run a": kwh(1.0, 0.1), "run b": Quantity.unknown("kWh", "no meter")}
    assert sum_together(parts, "kWh") == Quantity.unknown("kWh", "run b: no meter")


def test_money_in_two_currencies_is_not_added() -> None:
    parts = {
        "a": Quantity(1.0, 1.0, 1.0, "EUR", "assumed"),
        "b": Quantity(1.0, 1.0, 1.0, "USD", "assumed"),
    }
    total = sum_together(parts, "money")
    assert (total.value, total.reason) == (None, "the parts are in EUR and USD")


def test_an_empty_sum_is_not_zero() -> None:
    assert sum_together({}, "kWh").value is None
