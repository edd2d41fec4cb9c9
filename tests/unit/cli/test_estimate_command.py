"""`pricetag estimate`."""

from __future__ import annotations

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.commands import Captured, complaint, said

ESTIMATE = ["estimate", "--devices", "1", "--device-power-w", "1415.78", "--hours", "12"]


FACTORS = ["--pue", "1.58", "--grid-g-per-kwh", "432.73"]


def test_estimate_equals_the_published_row(capsys: Captured) -> None:
    prices = ["--price-low", "3.44", "--price-high", "11.68", "--json"]
    assert pricetag([*ESTIMATE, *FACTORS, *prices]) == 0
    figures = said(capsys)
    assert figures["it_energy_kwh"] == pytest.approx(16.989, rel=1e-4)
    assert figures["facility_energy_kwh"] == pytest.approx(26.84, rel=1e-3)
    assert figures["co2e_lb"] == pytest.approx(25.6, rel=1e-3)
    assert figures["co2e_kg"] == pytest.approx(figures["co2e_lb"] * 0.45359237)
    assert (figures["cost_low"], figures["cost_high"]) == (
        pytest.approx(41.28),
        pytest.approx(140.16),
    )


def test_error_of_an_invalid_figure_states_its_option(capsys: Captured) -> None:
    assert pricetag([*ESTIMATE, "--pue", "0.5", "--grid-g-per-kwh", "1"]) == 2
    assert "--pue is 0.5" in complaint(capsys)
    assert pricetag([*ESTIMATE, *FACTORS, "--price-low", "-1"]) == 2
    assert "--price-low is -1" in complaint(capsys)


@pytest.mark.parametrize("code", ["XXX", "ABC", "DEM", "usd", "euro", "€", ""])
def test_an_unknown_currency_is_rejected(code: str, capsys: Captured) -> None:
    prices = ["--price-low", "1", "--price-high", "2"]
    assert pricetag([*ESTIMATE, *FACTORS, *prices, "--currency", code]) == 2
    assert f"--currency is {code!r}: use" in complaint(capsys)
    assert pricetag([*ESTIMATE, "--pue", "0.5", "--grid-g-per-kwh", "1", "--currency", "XXX"]) == 2
    assert "--currency is 'XXX'" in complaint(capsys)


def test_all_invalid_figures_are_reported_at_once(capsys: Captured) -> None:
    wrong = ["--pue", "0.5", "--grid-g-per-kwh", "-1", "--price-low", "-2", "--currency", "euro"]
    assert pricetag([*ESTIMATE, *wrong]) == 2
    message = complaint(capsys)
    for option in ("--pue is 0.5", "--grid-g-per-kwh is -1", "--price-low is -2", "--currency is"):
        assert option in message
    assert "per_device_hour" not in message
