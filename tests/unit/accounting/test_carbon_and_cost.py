from __future__ import annotations

import math
from decimal import Decimal

import pytest

from pricetag.accounting.bill import amounts, carbon
from pricetag.accounting.quantity.checks import InvalidFactor


def test_facility_energy_and_emissions() -> None:
    assert carbon.facility_energy_kwh(100.0, 1.58) == pytest.approx(158.0)
    assert carbon.operational_co2e_kg(158.0, 56.0) == pytest.approx(8.848)


def test_bloom_adds_up() -> None:
    """Luccioni et al. 2022: 24.7 t dynamic + 14.6 t idle + 11.2 t embodied = 50.5 t."""
    dynamic = carbon.operational_co2e_kg(433_196, 57)
    idle = carbon.operational_co2e_kg(256_646, 57)
    assert dynamic == pytest.approx(24_700, rel=0.005)
    assert idle == pytest.approx(14_600, rel=0.005)
    assert dynamic + idle + 11_200 == pytest.approx(50_500, rel=0.005)


@pytest.mark.parametrize("pue", [0.9, math.nan, math.inf])
def test_an_impossible_pue_is_rejected(pue: float) -> None:
    with pytest.raises(InvalidFactor, match="pue"):
        carbon.facility_energy_kwh(1.0, pue)


def test_money_is_decimal() -> None:
    paid = amounts.device_hours_cost(0.1 + 0.2, "0.10", 0.3)
    assert paid.low == Decimal("0.30000000000000004") * Decimal("0.10")
    assert amounts.device_hours_cost(96, 0.43, 1.46) == amounts.CostRange(
        Decimal("41.28"), Decimal("140.16")
    )
    assert amounts.CostRange(Decimal(1), Decimal(4)).middle == Decimal("2.5")


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, "a lot", True])
def test_an_impossible_amount_is_rejected(amount: float | str) -> None:
    with pytest.raises(InvalidFactor, match="device_hours"):
        amounts.device_hours_cost(amount, 1, 2)
