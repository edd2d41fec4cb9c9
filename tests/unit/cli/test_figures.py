from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.tag.figure import figure_of
from pricetag.tag.figures import (
    column_unit,
    difference,
    display_unit,
    duration_text,
    interval_text,
    number,
    percent,
    quantity_text,
    ratio_text,
    short_count,
    with_unit,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1507.09, "1,507"),
        (275.08, "275"),
        (27.06, "27.1"),
        (0.0123456, "0.0123"),
        (9.996, "10.0"),
        (0.99951, "1.00"),
        (999.6, "1,000"),
        (1.23e-5, "1.23e-05"),
        (-0.5, "-0.500"),
        (0.0, "0"),
        (7, "7"),
        (22_713_216, "22,713,216"),
        (float("inf"), "infinite"),
        (float("nan"), "n/a"),
    ],
)
def test_numbers_keep_three_digits_and_all_before_the_point(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00123, "kWh", "1.23 Wh"),
        (1.5, "kWh", "1.50 kWh"),
        (656_347.0, "kWh", "656 MWh"),
        (0.000_42, "kg", "420 mg"),
        (0.0256, "kg", "25.6 g"),
        (90.0, "s", "90.0 s"),
        (600.0, "s", "10.0 min"),
        (284_400.0, "s", "79.0 h"),
        (90_853_000, "bytes", "90.9 MB"),
        (512, "bytes", "512 bytes"),
        (22_348_431_360.0, "FLOP", "22.3 GFLOP"),
        (2_113_000_000.0, "FLOP/J", "2.11 GFLOP/J"),
        (159_574_468_085.1, "FLOP/J", "160 GFLOP/J"),
        (512.0, "FLOP/J", "512 FLOP/J"),
        (381.0, "g/kWh", "381 g/kWh"),
        (1.54, "1", "1.54"),
        (0.0, "kWh", "0 kWh"),
    ],
)
def test_a_single_figure_chooses_its_unit_and_shows_it(value: float, unit: str, text: str) -> None:
    assert with_unit(value, unit) == text


def test_an_interval_is_in_the_unit_of_its_value() -> None:
    quantity = {"value": 1.0e-3, "low": 0.9e-3, "high": 1.1e-3, "unit": "kWh", "source": "counter"}
    assert interval_text(figure_of(quantity)) == "0.900 to 1.10 Wh"
    assert quantity_text(quantity) == "1.00 Wh (0.900 to 1.10 Wh; counter)"


def test_an_exact_figure_has_no_interval() -> None:
    quantity = {"value": 2.0, "low": 2.0, "high": 2.0, "unit": "kWh", "source": "counter"}
    assert quantity_text(quantity) == "2.00 kWh (counter)"


def test_unknown_figures_are_shown_with_their_reason() -> None:
    quantity = {"value": None, "low": None, "high": None, "unit": "kWh", "reason": "no meter"}
    assert quantity_text(quantity) == "n/a (no meter)"
    assert quantity_text(None) == "n/a (not recorded)"


@given(st.floats(1e-9, 1e14))
def test_a_number_is_never_off_by_more_than_its_digits(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.00501)


@given(st.floats(1e-12, 1e12), st.sampled_from(["kWh", "kg", "s", "W", "bytes", "FLOP", "FLOP/J"]))
def test_the_shown_unit_keeps_the_amount(value: float, unit: str) -> None:
    shown, size = display_unit(value, unit)
    assert shown
    assert display_unit(size * 2.0, unit) == (shown, size)
    assert with_unit(value, unit).endswith(" " + shown)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (42, "42 s"), (187, "3:07"), (3765, "1:02:45"), (None, "n/a")],
)
def test_durations_are_formatted(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.254, "25.4%"),
        (1.999, "199.9%"),
        (2.0, "200.0%"),
        (2.583, "2.6x"),
        (9.96, "10x"),
        (48.272, "48x"),
        (1234.5, "1,234x"),
        (0.0002, "under 0.1%"),
    ],
)
def test_ratios_above_two_are_shown_as_multiples(ratio: float, text: str) -> None:
    assert ratio_text(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.737, "+73.7%"), (-0.5, "-50.0%"), (63.286, "+63x"), (0.0, "+0.0%")]
)
def test_differences_are_formatted(ratio: float, text: str) -> None:
    assert difference(ratio) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (42, "42"),
        (872_962, "873k"),
        (999_600, "1.00M"),
        (22_713_216, "22.7M"),
        (1_300_000_000, "1.30B"),
        (0, "0"),
    ],
)
def test_counts_are_abbreviated(count: float, text: str) -> None:
    assert short_count(count) == text


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([2.956, 0.04, 0.182, 0.000193, None], "Wh"),
        ([2.956e-3, 4e-5, 1.9e-7], "mWh"),
        ([15.0, 5e-5, 5e-5, 5e-5], "Wh"),  # in mWh the first would have eight digits
        ([0.504, 5e-5, 5e-5], "Wh"),  # in mWh the first would have six digits
        ([0.0504, 5e-5, 5e-5], "mWh"),
        ([15_000.0, 5e-8, 5e-8, 5e-8], "kWh"),
        ([0.0, None], "kWh"),
        ([], "kWh"),
    ],
)
def test_a_column_uses_the_unit_of_its_median(values: list[float | None], unit: str) -> None:
    shown, size = column_unit(values, "kWh")
    assert shown == unit
    assert size == {"kWh": 1.0, "Wh": 1e-3, "mWh": 1e-6}[unit]


@pytest.mark.parametrize("nothing", [0.0, -0.0])
def test_zero_has_no_minus_sign(nothing: float) -> None:
    assert difference(nothing) == "+0.0%"
    assert percent(nothing) == "0.0%"
    assert number(nothing) == "0"
