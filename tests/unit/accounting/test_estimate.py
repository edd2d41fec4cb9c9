"""The estimate reproduces the published rows, each by its own arithmetic."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from pricetag.accounting.bill.embodied import embodied_kg
from pricetag.accounting.bill.estimate import Estimate, InvalidFactor, InvalidFigures, estimate
from pricetag.accounting.bill.inputs import AttemptInput, Device, EmbodiedFactor
from pricetag.catalog import Published, embodied, published

ROWS = published()
IDS = [row.id for row in ROWS]


def worked_out(row: Published) -> Estimate:
    assert row.device_power_w is not None
    assert row.pue is not None
    assert row.g_per_kwh is not None
    return estimate(
        row.devices,
        row.device_power_w,
        row.hours,
        row.pue,
        row.g_per_kwh,
        row.price_low,
        row.price_high,
        price_devices=row.price_devices,
    )


def test_the_rows_of_both_papers_are_included() -> None:
    assert sum(row_id.startswith("strubell2019") for row_id in IDS) == 8 + 3
    assert sum(row_id.startswith("patterson2021") for row_id in IDS) == 3


POWERED = [row for row in ROWS if row.device_power_w is not None and not row.part]


@pytest.mark.parametrize("row", POWERED, ids=lambda row: str(row.id))
def test_published_energy_within_one_percent(row: Published) -> None:
    assert worked_out(row).facility_energy_kwh == pytest.approx(row.facility_energy_kwh, rel=0.01)


@pytest.mark.parametrize("row", POWERED, ids=lambda row: str(row.id))
def test_published_emissions_within_two_percent(row: Published) -> None:
    figures = worked_out(row)
    assert row.co2e_kg is not None or row.co2e_lb is not None
    if row.co2e_kg is not None:
        assert figures.co2e_kg == pytest.approx(row.co2e_kg, rel=0.02)
    if row.co2e_lb is not None:
        assert figures.co2e_lb == pytest.approx(row.co2e_lb, rel=0.02)


PRICED = [row for row in POWERED if row.cost_low is not None]


@pytest.mark.parametrize("row", PRICED, ids=[row.id for row in PRICED])
def test_published_costs_to_the_dollar(row: Published) -> None:
    """All five of Strubell's rows reproduce, with P100 x 8, 3 and V100 x 64 device-hours."""
    figures = worked_out(row)
    assert figures.cost_low is not None
    assert figures.cost_high is not None
    assert round(figures.cost_low) == row.cost_low
    assert round(figures.cost_high) == row.cost_high


def test_bert_with_the_printed_hours_misses_its_printed_cost() -> None:
    """79 h is printed; only 79.2 h gives the $3,751 that is printed beside it."""
    printed = estimate(1, 12_041.51, 79, 1.58, 432.72712098, "0.74", "2.48", price_devices=64)
    assert printed.cost_low == Decimal("3741.44")


def test_the_strubell_row_by_hand() -> None:
    figures = estimate(1, 1_415.78, 12, 1.58, 432.72712098, 0.43, 1.46, price_devices=8)
    assert figures.it_energy_kwh == pytest.approx(16.98936)
    assert figures.facility_energy_kwh == pytest.approx(26.8431888)
    assert figures.co2e_lb == pytest.approx(0.954 * 26.8431888)
    assert figures.co2e_kg == pytest.approx(0.954 * 0.45359237 * 26.8431888)
    assert (figures.cost_low, figures.cost_high) == (Decimal("41.28"), Decimal("140.16"))
    assert figures.currency == "USD"


def test_devices_multiply_power_and_price() -> None:
    figures = estimate(8, 300.0, 10, 1.0, 0.0, 2, currency="EUR")
    assert figures.it_energy_kwh == pytest.approx(24.0)
    assert figures.co2e_kg == 0.0
    assert (figures.cost_low, figures.cost_high) == (Decimal(160), Decimal(160))
    assert figures.currency == "EUR"


def test_without_prices_the_cost_is_unknown() -> None:
    figures = estimate(1, 300.0, 10, 1.1, 56.0)
    assert (figures.cost_low, figures.cost_high, figures.currency) == (None, None, None)


GOOD: dict[str, Any] = {
    "devices": 8,
    "device_power_w": 300.0,
    "hours": 10.0,
    "pue": 1.2,
    "grid_g_per_kwh": 56.0,
    "price_low": 1.0,
    "price_high": 2.0,
    "price_devices": 8,
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("devices", 0),
        ("devices", -1),
        ("devices", 1.5),
        ("devices", True),
        ("devices", 10**400),
        ("device_power_w", 1e308),
        ("device_power_w", 10**400),
        ("hours", 1e300),
        ("pue", 1e4),
        ("grid_g_per_kwh", 1e9),
        ("price_high", "1e999999"),
        ("device_power_w", -1.0),
        ("device_power_w", math.nan),
        ("device_power_w", "300"),
        ("hours", math.inf),
        ("hours", -0.1),
        ("pue", 0.99),
        ("pue", math.nan),
        ("grid_g_per_kwh", -1),
        ("grid_g_per_kwh", math.inf),
        ("price_low", -1),
        ("price_low", 3.0),
        ("price_low", "cheap"),
        ("price_high", math.nan),
        ("price_devices", 0),
    ],
)
def test_an_impossible_figure_is_rejected_with_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidFactor) as refused:
        estimate(**{**GOOD, field: value})
    assert refused.value.field == field
    assert refused.value.value is value
    assert refused.value.valid_values in str(refused.value)


def test_all_impossible_figures_are_reported_at_once() -> None:
    wrong = {"devices": 0, "hours": -1, "pue": 0.5, "price_low": -1, "price_high": "dear"}
    with pytest.raises(InvalidFigures) as refused:
        estimate(**{**GOOD, **wrong, "currency": "euro"})
    assert [fault.field for fault in refused.value.faults] == [*wrong, "currency"]
    assert all(f"{field} is {value!r}: use" in str(refused.value) for field, value in wrong.items())


def test_the_same_figures_in_range_pass() -> None:
    assert estimate(**GOOD).cost_high == Decimal(160)


def test_the_largest_figures_that_pass_stay_finite() -> None:
    figures = estimate(10**9, 1e12, 1e9, 1_000.0, 1e6, "1e18", "1e18")
    assert math.isfinite(figures.co2e_lb)
    assert figures.cost_high is not None
    assert math.isfinite(float(figures.cost_high))


# BLOOM beyond its dynamic energy: Luccioni, Viguier, Ligozat 2022 (arXiv:2211.02001), section 4.
# Its grid is 57 g/kWh; embodied emissions are 150 kg a card and 2,500 kg a server of eight, over
# six years of which 85% are used.
BLOOM = {
    "gpu_hours": 1_082_990.0,
    "dynamic_kwh": 433_196.0,
    "idle_kwh": 256_646.0,
    "g_per_kwh": 57.0,
    "dynamic_t": 24.7,
    "idle_t": 14.6,
    "embodied_t": 11.2,
    "total_t": 50.5,
}


def bloom_embodied_kg() -> float:
    lifetime_h = 6 * 365 * 24
    reserved = AttemptInput(
        number=1,
        status="succeeded",
        reason=None,
        started_at="2022-03-11T00:00:00+00:00",
        duration_s=BLOOM["gpu_hours"] * 3_600.0,
        components=(),
        measurements=(),
        devices=(Device("NVIDIA A100"),),
    )
    factors = (
        EmbodiedFactor("NVIDIA A100", embodied("generic-card").as_factor(), lifetime_h, 0.85),
        EmbodiedFactor("server", embodied("generic-server").as_factor(), lifetime_h, 0.85, 1 / 8),
    )
    mass_kg = embodied_kg(factors, [reserved]).value
    assert mass_kg is not None
    return mass_kg


def test_bloom_idle_energy_within_two_percent() -> None:
    idle = estimate(1, 1_000.0, BLOOM["idle_kwh"], 1.0, BLOOM["g_per_kwh"])
    assert idle.it_energy_kwh == BLOOM["idle_kwh"]
    assert idle.co2e_kg == pytest.approx(1_000 * BLOOM["idle_t"], rel=0.02)


def test_bloom_embodied_emissions_within_two_percent() -> None:
    assert bloom_embodied_kg() == pytest.approx(1_000 * BLOOM["embodied_t"], rel=0.02)


def test_bloom_in_all_within_two_percent() -> None:
    dynamic = estimate(1, 400.0, BLOOM["gpu_hours"], 1.0, BLOOM["g_per_kwh"])
    idle = estimate(1, 1_000.0, BLOOM["idle_kwh"], 1.0, BLOOM["g_per_kwh"])
    assert dynamic.co2e_kg == pytest.approx(1_000 * BLOOM["dynamic_t"], rel=0.02)
    total = dynamic.co2e_kg + idle.co2e_kg + bloom_embodied_kg()
    assert total == pytest.approx(1_000 * BLOOM["total_t"], rel=0.02)
