"""Factors by the hour: carbon and tariffs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.bill.inputs import AttemptInput, Factor, Factors, HourlyFactor, Measurement
from pricetag.accounting.bill.rates import Rate, RateMissing, Use, apply
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.quantity.uncertainty import Z_95
from pricetag.accounting.units import J_PER_KWH
from tests.unit.accounting import builders as b

H4, H5, H6 = (f"2026-11-21T0{hour}:00:00+00:00" for hour in (4, 5, 6))
SERIES = HourlyFactor(
    Factor(150.0, "g/kWh", 0.05, "estimated", "Grid operator", 2026, "location-based, hourly"),
    {H4: 100.0, H5: 200.0},
)
HOURLY = Factors(b.PUE, b.GRID, carbon_hours=SERIES)


def tag_of(attempt: AttemptInput, factors: Factors) -> dict[str, Any]:
    return build_price_tag(b.inputs(attempt, factors=factors)).as_dict()


def hourly_attempt(by_hour_j: dict[str, float]) -> AttemptInput:
    """One card that used 30 kJ in 100 s, spread over hours."""
    measured = Measurement(b.GPU.id, b.window(30_000.0, 0, 100), by_hour_j)
    return replace(b.attempt(components=[b.GPU]), measurements=(measured,))


def test_each_hour_has_its_own_intensity() -> None:
    tag = tag_of(hourly_attempt({H4: 10_000.0, H5: 20_000.0}), HOURLY)
    grams = 1.5 * (10_000 * 100 + 20_000 * 200) / J_PER_KWH
    assert tag["co2e_kg"]["value"] == pytest.approx(grams / 1000)
    assert tag["carbon_intensity_g_per_kwh"]["value"] == pytest.approx(500 / 3)
    assert tag["carbon_hours_share_ratio"]["value"] == 1.0
    assert "carbon_hours_incomplete" not in tag["flags"]
    assert tag["attempts"][0]["co2e_kg"] == tag["co2e_kg"]
    budget = {item["term"]: item["relative_std_ratio"] for item in tag["uncertainty"]["co2e"]}
    assert budget["carbon intensity"] == pytest.approx(0.05)


def test_an_hour_without_a_figure_uses_the_annual_one_and_is_flagged() -> None:
    tag = tag_of(hourly_attempt({H4: 10_000.0, H6: 20_000.0}), HOURLY)
    grams = 1.5 * (10_000 * 100 + 20_000 * 56) / J_PER_KWH
    assert tag["co2e_kg"]["value"] == pytest.approx(grams / 1000)
    assert tag["carbon_hours_share_ratio"]["value"] == pytest.approx(1 / 3)
    assert "carbon_hours_incomplete" in tag["flags"]
    share = 10_000 * 100 / (10_000 * 100 + 20_000 * 56)
    budget = {item["term"]: item["relative_std_ratio"] for item in tag["uncertainty"]["co2e"]}
    assert budget["carbon intensity"] == pytest.approx(share * 0.05 + (1 - share) * 0.07)


def test_energy_not_kept_by_hour_uses_the_annual_figure() -> None:
    tag = tag_of(hourly_attempt({}), HOURLY)
    annual = tag_of(hourly_attempt({}), b.FACTORS)
    assert tag["co2e_kg"]["value"] == annual["co2e_kg"]["value"]
    assert tag["carbon_hours_share_ratio"]["value"] == 0.0
    assert "carbon_hours_incomplete" in tag["flags"]
    assert annual["carbon_hours_share_ratio"]["value"] is None


def test_without_an_annual_figure_a_missing_hour_leaves_carbon_unknown() -> None:
    hours_alone = replace(HOURLY, carbon_intensity=None)
    whole = tag_of(hourly_attempt({H4: 30_000.0}), hours_alone)
    assert whole["co2e_kg"]["value"] == pytest.approx(1.5 * 3_000 / J_PER_KWH)
    assert "carbon_intensity_unknown" not in whole["flags"]
    part = tag_of(hourly_attempt({H4: 20_000.0, H6: 10_000.0}), hours_alone)
    assert part["co2e_kg"]["value"] is None
    assert "some of the hours" in part["co2e_kg"]["reason"]
    assert part["uncertainty"]["co2e"] == []


def test_only_the_hours_that_were_used_are_copied() -> None:
    tag = tag_of(hourly_attempt({H4: 30_000.0}), HOURLY)
    assert tag["provenance"]["factors"]["carbon_hours"]["by_hour"] == {H4: 100.0}
    assert tag["provenance"]["factors"]["carbon_hours"]["factor"]["citation"] == "Grid operator"


def test_a_tariff_by_the_time_of_use() -> None:
    flat = Factor(0.30, "EUR/kWh", 0.0, "estimated", "contract")
    hours = HourlyFactor(replace(flat, value=0.2), {H4: 0.10, H5: 0.40})
    factors = replace(b.FACTORS, electricity_tariff=flat, tariff_hours=hours, currency="EUR")
    tag = tag_of(hourly_attempt({H4: 10_000.0, H5: 20_000.0}), factors)
    paid = 1.5 * (10_000 * 0.10 + 20_000 * 0.40) / J_PER_KWH
    assert tag["cost"]["electricity"]["value"] == pytest.approx(paid)
    assert tag["cost"]["basis"] == "electricity alone"
    part = tag_of(hourly_attempt({H4: 10_000.0, H6: 20_000.0}), factors)
    paid = 1.5 * (10_000 * 0.10 + 20_000 * 0.30) / J_PER_KWH
    assert part["cost"]["electricity"]["value"] == pytest.approx(paid)
    assert "tariff_hours_incomplete" in part["flags"]


def test_a_rate_without_any_figure_is_rejected() -> None:
    with pytest.raises(RateMissing, match="no tariff"):
        apply(Rate("tariff", None), [Use(1.0, {})])


@given(
    st.lists(st.dictionaries(st.sampled_from([H4, H5]), st.floats(0, 1e9)), min_size=1, max_size=5)
)
def test_the_mean_is_that_of_the_hours_weighted_by_energy(by_hours: list[dict[str, float]]) -> None:
    uses = [Use(sum(by_hour.values()), by_hour) for by_hour in by_hours]
    applied = apply(Rate("carbon_intensity", b.GRID, SERIES), uses)
    total = sum(use.energy_j for use in uses)
    products = sum(j * SERIES.by_hour[h] for use in uses for h, j in use.by_hour_j.items())
    assert sum(
        value * use.energy_j for value, use in zip(applied.values, uses, strict=True)
    ) == pytest.approx(products)
    if total > 1e-3:
        assert applied.mean == pytest.approx(products / total)
        assert applied.hourly_share_ratio == pytest.approx(1.0)


def test_the_interval_of_an_hourly_figure() -> None:
    exact = replace(b.GPU, gain_std_ratio=0.0)
    measured = Measurement(exact.id, b.window(30_000.0, 0, 1e6), {H4: 30_000.0})
    attempt = replace(b.attempt(components=[exact]), measurements=(measured,), duration_s=1e6)
    pue = replace(b.PUE, relative_std_ratio=0.0)
    co2e = tag_of(attempt, replace(HOURLY, pue=pue))["co2e_kg"]
    assert co2e["high"] / co2e["value"] == pytest.approx(1 + Z_95 * 0.05, rel=1e-6)
