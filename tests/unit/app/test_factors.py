from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.services import factors
from app.settings import Settings
from pricetag import catalog


def of(accelerators: tuple[str, ...] = (), year: int | None = None, **given: Any) -> Any:
    return factors.of_site(Settings(**given), accelerators=accelerators, used_in_year=year)


def test_a_site_that_tells_nothing_gets_means_that_are_marked_as_assumed() -> None:
    found = of()
    assert (found.pue.value, found.pue.source) == (1.54, "assumed")
    carbon = found.carbon_intensity
    assert (carbon.zone, carbon.source) == ("WLD", "assumed")
    assert carbon.relative_std_ratio >= 0.30
    assert "set PRICETAG_GRID_ZONE" in carbon.basis
    assert (found.cloud_price_low, found.electricity_tariff, found.currency) == (None, None, None)


def test_the_sites_own_figures() -> None:
    found = of(pue=1.1, grid_g_per_kwh=20.0, grid_year=2025, grid_source="contract")
    assert (found.pue.value, found.pue.source) == (1.1, "estimated")
    carbon = found.carbon_intensity
    assert (carbon.value, carbon.year, carbon.citation) == (20.0, 2025, "contract")


def test_a_zone_is_surer_in_its_own_year() -> None:
    row = catalog.grid_factor("DEU")
    same, other = of(grid_zone="DE", year=row.year), of(grid_zone="DE", year=row.year + 1)
    assert same.carbon_intensity.value == other.carbon_intensity.value == row.g_per_kwh
    assert same.carbon_intensity.relative_std_ratio == pytest.approx(0.07)
    assert other.carbon_intensity.relative_std_ratio == pytest.approx(0.18)


def test_electricity_in_the_sites_currency() -> None:
    found = of(electricity_per_kwh=Decimal("0.30"), currency="EUR")
    assert (found.electricity_tariff.value, found.electricity_tariff.unit) == (0.3, "EUR/kWh")
    assert found.currency == "EUR"


def test_cloud_prices_only_for_the_same_hardware_in_the_same_currency() -> None:
    v100 = "Tesla V100-SXM2-16GB"
    found = of((v100,))
    assert (found.cloud_price_low.value, found.cloud_price_high.value) == (0.74, 2.48)
    assert (found.cloud_price_low.source, found.currency) == ("assumed", "USD")
    for accelerators, currency in (
        (("NVIDIA Never Made",), "USD"),
        ((v100, "NVIDIA Never Made"), "USD"),
        ((v100, "Tesla P100"), "USD"),
        ((v100,), "EUR"),
    ):
        other = of(accelerators, currency=currency)
        assert (other.cloud_price_low, other.cloud_price_high, other.currency) == (None,) * 3
