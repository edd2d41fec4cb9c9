"""Market-based carbon, water, embodied carbon, and the cost with its basis."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import AttemptInput, Device, EmbodiedFactor, Factor, Factors
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.quantity.uncertainty import Z_95
from pricetag.accounting.units import J_PER_KWH
from tests.unit.accounting import builders as b

H100_KG = Factor(164.0, "kg/card", 0.5, "estimated", "vendor", 2025, multiplicative=True)
CARD = EmbodiedFactor("NVIDIA A100", H100_KG, lifetime_h=35_040.0, utilisation_ratio=0.5)
SERVER = EmbodiedFactor(
    "server", replace(H100_KG, value=2_500.0, relative_std_ratio=2.0), 35_040.0, 0.5, pieces=1 / 8
)
WUE = Factor(1.8, "l/kWh", 0.1, "estimated", "site", 2025)
EWIF = Factor(3.1, "l/kWh", 0.2, "estimated", "grid", 2025)
HOUR = 3_600.0


def tag_of(*attempts: AttemptInput, factors: Factors) -> dict[str, Any]:
    return build_price_tag(b.inputs(*attempts, factors=factors)).as_dict()


def test_market_based_emissions_are_reported_beside_location_based_ones() -> None:
    market = replace(b.GRID, value=12.0, basis="market-based", relative_std_ratio=0.02)
    tag = tag_of(b.attempt(), factors=replace(b.FACTORS, carbon_market=market))
    kwh = 380 * 100 / J_PER_KWH
    assert tag["co2e_market_kg"]["value"] == pytest.approx(kwh * 1.5 * 0.012)
    assert tag["co2e_kg"]["value"] == pytest.approx(kwh * 1.5 * 0.056)
    assert tag["attempts"][0]["co2e_market_kg"] == tag["co2e_market_kg"]
    without = tag_of(b.attempt(), factors=b.FACTORS)["co2e_market_kg"]
    assert without["value"] is None
    assert "market-based" in without["reason"]


def test_water_is_the_sum_of_on_site_and_off_site_use() -> None:
    factors = replace(b.FACTORS, wue=WUE, water_intensity=EWIF)
    exact = replace(b.GPU, gain_std_ratio=0.0)
    water = tag_of(b.attempt(1, 1e6, components=[exact]), factors=factors)["water_l"]
    per_kwh = 1.8 + 1.5 * 3.1
    assert water["unit"] == "l"
    assert water["value"] == pytest.approx(300 * 1e6 / J_PER_KWH * per_kwh)
    off = 1.5 * 3.1 / per_kwh
    std = math.hypot((1 - off) * 0.1, off * math.hypot(0.1, 0.2))
    assert water["high"] / water["value"] == pytest.approx(1 + Z_95 * std, rel=1e-6)
    assert water["source"] == "assumed"


@pytest.mark.parametrize(
    ("factors", "missing"),
    [
        (b.FACTORS, "no water usage effectiveness of the site and no water intensity"),
        (replace(b.FACTORS, wue=WUE), "no water intensity of the electricity"),
        (replace(b.FACTORS, water_intensity=EWIF), "no water usage effectiveness of the site"),
    ],
)
def test_water_without_a_factor_is_unknown(factors: Factors, missing: str) -> None:
    water = tag_of(b.attempt(), factors=factors)["water_l"]
    assert water["value"] is None
    assert water["reason"].startswith(missing)


def test_embodied_is_the_part_of_the_lifetime_in_use() -> None:
    """SCI: TE x TiR / EL x RR / ToR, with the lifetime that is really reserved."""
    two = replace(b.attempt(1, 10 * HOUR), devices=(Device("NVIDIA A100"),) * 2)
    factors = replace(b.FACTORS, embodied=(CARD, SERVER))
    tag = tag_of(two, factors=factors)
    used = 2 * 10 / (35_040 * 0.5)
    assert tag["embodied_co2e_kg"]["value"] == pytest.approx(164 * used + 2_500 / 8 * used)
    assert tag["co2e_total_kg"]["value"] == pytest.approx(
        tag["co2e_kg"]["value"] + tag["embodied_co2e_kg"]["value"]
    )
    alone = tag_of(two, factors=replace(b.FACTORS, embodied=(CARD,)))["embodied_co2e_kg"]
    assert alone["value"] == pytest.approx(164 * used)
    assert alone["high"] == pytest.approx(alone["value"] * 1.5**Z_95)
    assert "without their server" in alone["reason"]


def test_all_attempts_are_charged_their_hours_of_card_and_server() -> None:
    first = replace(b.attempt(1, 4 * HOUR, status="lost"), devices=(Device("NVIDIA A100"),))
    second = replace(b.attempt(2, 6 * HOUR), devices=(Device("NVIDIA A100"),) * 3)
    tag = tag_of(first, second, factors=replace(b.FACTORS, embodied=(CARD, SERVER)))
    used = (4 + 3 * 6) / (35_040 * 0.5)
    assert tag["embodied_co2e_kg"]["value"] == pytest.approx((164 + 2_500 / 8) * used)
    parts = [attempt["embodied_co2e_kg"]["value"] for attempt in tag["attempts"]]
    assert sum(parts) == pytest.approx(tag["embodied_co2e_kg"]["value"])


def test_a_slice_is_charged_its_part_of_the_card() -> None:
    slice_ = replace(b.GPU, reserved_ratio=3 / 7)
    attempt = replace(
        b.attempt(1, 10 * HOUR, components=[slice_]), devices=(Device("NVIDIA A100", "MIG-1"),)
    )
    tag = tag_of(attempt, factors=replace(b.FACTORS, embodied=(CARD,)))
    assert tag["embodied_co2e_kg"]["value"] == pytest.approx(164 * 3 / 7 * 10 / (35_040 * 0.5))


def test_a_run_without_accelerators_is_charged_its_cores_part_of_the_server() -> None:
    half = replace(b.CPU, reserved_ratio=0.5)
    tag = tag_of(
        b.attempt(1, 10 * HOUR, components=[half]),
        factors=replace(b.FACTORS, embodied=(replace(SERVER, pieces=1.0),)),
    )
    assert tag["embodied_co2e_kg"]["value"] == pytest.approx(2_500 * 0.5 * 10 / (35_040 * 0.5))


def test_unknown_hardware_has_unknown_embodied_emissions() -> None:
    other = replace(b.attempt(), devices=(Device("NVIDIA T4"),))
    tag = tag_of(other, factors=replace(b.FACTORS, embodied=(CARD,)))
    assert tag["embodied_co2e_kg"]["reason"] == "no embodied emissions of NVIDIA T4 are known"
    assert tag["co2e_total_kg"]["reason"].startswith("the embodied part is unknown")


@pytest.mark.parametrize(
    ("field", "value"),
    [("lifetime_h", 0.0), ("utilisation_ratio", 0.0), ("utilisation_ratio", 2.0)],
)
def test_an_impossible_lifetime_is_rejected(field: str, value: float) -> None:
    changed: Any = {field: value}
    wrong = replace(CARD, **changed)
    with pytest.raises(InvalidFactor, match=field):
        tag_of(b.attempt(), factors=replace(b.FACTORS, embodied=(wrong,)))


def price(value: float, std_ratio: float = 0.0) -> Factor:
    return Factor(value, "USD/device-hour", std_ratio, "estimated", "the lab's book")


TARIFF = Factor(0.25, "USD/kWh", 0.05, "estimated", "contract")
OWNED = replace(
    b.FACTORS, internal_price=price(1.2, 0.1), electricity_tariff=TARIFF, currency="USD"
)


def test_owned_hardware_costs_its_hours_and_its_electricity() -> None:
    tag = tag_of(b.attempt(1, 2 * HOUR, components=[b.GPU]), factors=OWNED)
    cost = tag["cost"]
    assert cost["owned_hardware"]["value"] == pytest.approx(2.4)
    electricity = 0.6 * 1.5 * 0.25
    assert cost["electricity"]["value"] == pytest.approx(electricity)
    assert cost["total"]["value"] == pytest.approx(2.4 + electricity)
    assert cost["basis"] == "owned hardware and electricity"
    below = cost["electricity"]["value"] - cost["electricity"]["low"]
    assert cost["total"]["low"] == pytest.approx(
        2.4 + electricity - math.hypot(below, Z_95 * 0.1 * 2.4)
    )
    dominant = tag["uncertainty"]["cost"][0]
    assert dominant["term"] == "price of the owned hardware"
    assert dominant["relative_std_ratio"] == pytest.approx(0.24 / (2.4 + electricity))


def test_every_attempt_has_a_cost_and_they_add_up() -> None:
    tag = tag_of(
        b.attempt(1, HOUR, components=[b.GPU], status="lost"),
        b.attempt(2, 2 * HOUR, components=[b.GPU]),
        factors=OWNED,
    )
    parts = [attempt["cost"]["total"]["value"] for attempt in tag["attempts"]]
    assert parts[1] == pytest.approx(2 * parts[0])
    assert sum(parts) == pytest.approx(tag["cost"]["total"]["value"])


@pytest.mark.parametrize(
    ("factors", "basis", "value"),
    [
        (replace(OWNED, electricity_tariff=None), "owned hardware without electricity", 1.2),
        (
            replace(
                OWNED, internal_price=None, cloud_price_low=price(1.0), cloud_price_high=price(3.0)
            ),
            "cloud",
            2.0,
        ),
        (replace(OWNED, internal_price=None), "electricity alone", 0.3 * 1.5 * 0.25),
        (b.FACTORS, None, None),
    ],
)
def test_the_total_states_what_it_includes(
    factors: Factors, basis: str | None, value: float | None
) -> None:
    cost = tag_of(b.attempt(1, HOUR, components=[b.GPU]), factors=factors)["cost"]
    assert cost["basis"] == basis
    if value is None:
        assert cost["total"]["value"] is None
        assert "no price of a device-hour" in cost["total"]["reason"]
    else:
        assert cost["total"]["value"] == pytest.approx(value)


def test_an_internal_price_without_a_currency_is_rejected() -> None:
    with pytest.raises(InvalidFactor, match="currency"):
        tag_of(b.attempt(), factors=replace(OWNED, currency=None))
