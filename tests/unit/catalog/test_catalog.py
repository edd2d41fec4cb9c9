from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

import pytest

from pricetag import catalog
from pricetag.accounting.units import KG_PER_LB
from pricetag.catalog.load import CatalogError, parse
from pricetag.catalog.rows import Cited, Equivalent, ProfileRow

TABLES: dict[str, Sequence[Cited]] = {
    "grid": catalog.grid_factors(),
    "pue": catalog.pues(),
    "accelerators": catalog.accelerators(),
    "embodied": catalog.embodied_factors(),
    "prices": catalog.prices(),
    "equivalents": catalog.equivalents(),
    "published": catalog.published(),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_cited(table: str) -> None:
    rows = TABLES[table]
    assert rows
    for row in rows:
        assert len(row.source) > 10, row
        assert 2010 <= row.year <= 2026, row
        assert row.basis, row
        assert row.licence, row
        assert row.source_url == "" or row.source_url.startswith("https://"), row


@pytest.mark.parametrize(
    ("zone", "g_per_kwh"), [("FRA", 56.0), ("USA", 369.5), ("SWE", 40.7), ("WLD", 475.0)]
)
def test_zones_that_are_known_from_elsewhere(zone: str, g_per_kwh: float) -> None:
    assert round(catalog.grid_factor(zone).g_per_kwh, 1) == g_per_kwh


def test_zones_are_found_by_either_code_and_are_unique() -> None:
    assert catalog.grid_factor("fr") is catalog.grid_factor(" FRA ")
    factors = catalog.grid_factors()
    assert len({row.zone for row in factors}) == len(factors)
    codes = [row.alpha2 for row in factors if row.alpha2]
    assert len(set(codes)) == len(codes) == len(factors) - 1
    for row in factors:
        assert re.fullmatch("[A-Z]{3}", row.zone)
        assert 0 < row.g_per_kwh < 1_000


@pytest.mark.parametrize(
    ("zone", "near"), [("Germany", "DEU"), ("FRN", "FRA"), ("united", "GBR"), ("Frence", "FRA")]
)
def test_an_unknown_zone_is_refused_with_what_looks_like_it(zone: str, near: str) -> None:
    with pytest.raises(catalog.NotInCatalog) as refused:
        catalog.grid_factor(zone)
    assert refused.value.field == "zone"
    assert any(name.startswith(near) for name in refused.value.near)


@pytest.mark.parametrize("zone", ["", " ", "Atlantis", "US-CA"])
def test_no_zone_is_ever_averaged(zone: str) -> None:
    with pytest.raises(catalog.NotInCatalog, match="not in the catalog"):
        catalog.grid_factor(zone)


def test_the_year_decides_the_error_of_a_grid_factor() -> None:
    row = catalog.grid_factor("FRA")
    assert row.as_factor(2023).relative_std_ratio == 0.07
    assert row.as_factor(2025).relative_std_ratio == 0.18
    assert row.as_factor().relative_std_ratio == 0.18
    world = catalog.grid_factor("WLD").as_factor(2018)
    assert (world.relative_std_ratio, world.source) == (0.30, "assumed")
    factor = row.as_factor()
    assert (factor.zone, factor.year, factor.licence) == ("FRA", 2023, "CC BY 4.0")


def test_the_default_pue_is_assumed() -> None:
    factor = catalog.pue().as_factor()
    assert (factor.value, factor.source, factor.relative_std_ratio) == (1.54, "assumed", 0.10)
    with pytest.raises(catalog.NotInCatalog, match="uptime2025"):
        catalog.pue("uptime")


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("Tesla V100-SXM2-16GB", 125),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA B200", 2_250),
        ("AMD Instinct MI300X", 1_307),
        ("NVIDIA GeForce RTX 4090", 165),
        ("h100-pcie", 756),
    ],
)
def test_peaks_by_product_name(name: str, tflops: float) -> None:
    assert catalog.accelerator(name).peak_flops_per_s == tflops * 1e12


@pytest.mark.parametrize(
    "name", ["NVIDIA GB200", "NVIDIA H100 NVL", "NVIDIA GeForce RTX 4090 Laptop GPU", "Tesla T4"]
)
def test_devices_that_are_not_in_the_table_get_no_peak(name: str) -> None:
    with pytest.raises(catalog.NotInCatalog):
        catalog.accelerator(name)


def test_embodied_emissions_are_known_times_or_divided_by() -> None:
    board, card = catalog.embodied("hgx-h100"), catalog.embodied("h100-sxm")
    assert board.embodied_co2e_kg / 8 == card.embodied_co2e_kg == 164
    factor = catalog.embodied("h200").as_factor()
    assert factor.source == "assumed"
    assert factor.relative_std_ratio == pytest.approx(0.5)
    assert factor.multiplicative
    assert catalog.embodied("generic-server").as_factor().relative_std_ratio == 2.0


def test_example_prices() -> None:
    assert {price.label for price in catalog.prices()} == {"example"}
    found = catalog.price_range("Tesla P100-PCIE-16GB")
    assert found is not None
    low, high = found
    assert (low.amount, low.kind) == (Decimal("0.43"), "spot")
    assert (high.amount, high.kind) == (Decimal("1.46"), "on_demand")
    factor = high.as_factor()
    assert (factor.value, factor.unit, factor.source) == (1.46, "USD/device-hour", "assumed")
    assert catalog.price_range("NVIDIA H200") is None
    assert catalog.price_range("TPUv3", prefix="lab-") is None


def test_the_profile_of_strubell() -> None:
    profile = catalog.profile("strubell2019")
    assert profile.pue.value == 1.58
    assert profile.carbon_intensity.value == pytest.approx(954 * KG_PER_LB)
    assert {price.accelerator for price in profile.prices} == {"P100", "V100", "TPUv2", "TPUv3"}
    with pytest.raises(catalog.NotInCatalog, match="strubell2019"):
        catalog.profile("strubell")


def test_emissions_in_well_known_units() -> None:
    times = {c.equivalent.id: c.times for c in catalog.compare_emissions(126_000 * KG_PER_LB)}
    assert times["car-lifetime"] == pytest.approx(1.0)
    assert times["flight-ny-sf"] == pytest.approx(126_000 / 1_984)


def test_factors_of_the_site() -> None:
    own = catalog.site_pue(1.12, citation="meter of hall 2")
    assert (own.value, own.relative_std_ratio, own.source) == (1.12, 0.03, "estimated")
    grid = catalog.site_carbon_intensity(21.0, citation="supplier", basis="market-based", year=2025)
    assert (grid.value, grid.basis, grid.year) == (21.0, "market-based", 2025)


HEAD = "id,name,co2e_lb,basis,year,source,source_url,licence\n"


def test_a_broken_table_says_what_is_wrong() -> None:
    with pytest.raises(CatalogError, match=r"t\.csv: co2e_lb is 'much'"):
        parse(HEAD + "a,b,much,c,2020,d,,e\n", Equivalent, "t.csv")
    with pytest.raises(CatalogError, match="licence"):
        parse("id,name,co2e_lb,basis,year,source,source_url\n", Equivalent, "t.csv")
    assert parse(HEAD + "a,b,3,c,2020,d,,e\n", Equivalent, "t.csv")[0].co2e_lb == 3.0
    with pytest.raises(CatalogError, match="unknown"):
        parse(HEAD, ProfileRow, "t.csv")
