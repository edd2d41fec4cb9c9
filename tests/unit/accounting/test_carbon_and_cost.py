from __future__ import annotations

import math
from decimal import Decimal

import pytest

from pricetag.accounting.bill import carbon, cost, water
from pricetag.accounting.quantity.checks import InvalidFactor


def test_facility_energy_and_emissions() -> None:
    assert carbon.facility_energy_kwh(100.0, 1.58) == pytest.approx(158.0)
    assert carbon.operational_co2e_kg(158.0, 56.0) == pytest.approx(8.848)


def test_hourly_emissions_weigh_each_hour() -> None:
    assert carbon.hourly_co2e_kg([1.0, 3.0], [100.0, 500.0]) == pytest.approx(1.6)
    with pytest.raises(InvalidFactor, match="2 of them"):
        carbon.hourly_co2e_kg([1.0, 3.0], [100.0])


def test_a_run_bears_its_share_of_the_hardware() -> None:
    # Half of a 1,312 kg board for 876 of the 35,040 hours of four years.
    kg = carbon.embodied_share_kg(
        1_312, reserved_h=876, lifespan_h=35_040, reserved_share_ratio=0.5
    )
    assert kg == pytest.approx(16.4)
    with pytest.raises(InvalidFactor, match="reserved_share_ratio"):
        carbon.embodied_share_kg(1, reserved_h=1, lifespan_h=1, reserved_share_ratio=1.1)
    with pytest.raises(InvalidFactor, match="lifespan_h"):
        carbon.embodied_share_kg(1, reserved_h=1, lifespan_h=0)


def test_bloom_adds_up() -> None:
    """Luccioni et al. 2022: 24.7 t dynamic + 14.6 t idle + 11.2 t embodied = 50.5 t."""
    dynamic = carbon.operational_co2e_kg(433_196, 57)
    idle = carbon.operational_co2e_kg(256_646, 57)
    assert dynamic == pytest.approx(24_700, rel=0.005)
    assert idle == pytest.approx(14_600, rel=0.005)
    assert dynamic + idle + 11_200 == pytest.approx(50_500, rel=0.005)


def test_software_carbon_intensity() -> None:
    assert carbon.software_carbon_intensity_kg(10, 100, 4, 1_000) == pytest.approx(0.005)
    with pytest.raises(InvalidFactor, match="functional_units"):
        carbon.software_carbon_intensity_kg(10, 100, 4, 0)


def test_water() -> None:
    litres = water.water_l(10, wue_l_per_kwh=1.8, pue=1.2, ewif_l_per_kwh=3.0)
    assert litres == pytest.approx(10 * (1.8 + 1.2 * 3.0))


@pytest.mark.parametrize("pue", [0.9, math.nan, math.inf])
def test_an_impossible_pue_is_refused(pue: float) -> None:
    with pytest.raises(InvalidFactor, match="pue"):
        carbon.facility_energy_kwh(1.0, pue)


def test_money_is_decimal() -> None:
    paid = cost.device_hours_cost(0.1 + 0.2, "0.10", 0.3)
    assert paid.low == Decimal("0.30000000000000004") * Decimal("0.10")
    assert cost.device_hours_cost(96, 0.43, 1.46) == cost.CostRange(
        Decimal("41.28"), Decimal("140.16")
    )
    assert cost.CostRange(Decimal(1), Decimal(4)).middle == Decimal("2.5")
    assert cost.electricity_cost(158, "0.25") == Decimal("39.50")


def test_owned_hardware_pays_capital_and_energy() -> None:
    hour = cost.owned_device_hour_cost(
        30_000, 20_000, facility_kwh_per_hour=Decimal("0.9"), tariff_per_kwh="0.20"
    )
    assert hour == Decimal("1.68")
    with pytest.raises(InvalidFactor, match="useful_hours"):
        cost.owned_device_hour_cost(1, 0, facility_kwh_per_hour=0, tariff_per_kwh=0)


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, "a lot", True])
def test_an_impossible_amount_is_refused(amount: float | str) -> None:
    with pytest.raises(InvalidFactor, match="device_hours"):
        cost.device_hours_cost(amount, 1, 2)
