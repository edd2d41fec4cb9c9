"""A price tag can be rebuilt from the factors in it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pricetag.accounting.bill.inputs import (
    EmbodiedFactor,
    Factor,
    Factors,
    HourlyFactor,
    Measurement,
)
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.canonical import first_difference
from pricetag.accounting.document.factors import applied_factors, read_factors
from pricetag.accounting.quantity.record import InvalidDocument
from tests.unit.accounting import builders as b

HOUR = "2026-11-21T04:00:00+00:00"
OTHER = "2026-11-21T05:00:00+00:00"
FULL = Factors(
    pue=b.PUE,
    carbon_intensity=b.GRID,
    cloud_price_low=Factor(1.0, "USD/h", 0.0, "assumed", "book"),
    cloud_price_high=Factor(2.0, "USD/h", 0.0, "assumed", "book"),
    electricity_tariff=Factor(0.3, "USD/kWh", 0.02, "estimated", "contract"),
    currency="USD",
    carbon_hours=HourlyFactor(b.GRID, {HOUR: 40.0, OTHER: 80.0}),
    carbon_market=replace(b.GRID, value=12.0),
    tariff_hours=HourlyFactor(Factor(0.2, "USD/kWh", 0.0, "estimated", "c"), {HOUR: 0.1}),
    internal_price=Factor(1.1, "USD/h", 0.1, "estimated", "capex over hours"),
    wue=Factor(1.8, "l/kWh", 0.1, "estimated", "site"),
    water_intensity=Factor(3.1, "l/kWh", 0.2, "estimated", "grid"),
    embodied=(
        EmbodiedFactor(
            "NVIDIA A100",
            Factor(127.6, "kg/card", 0.5, "estimated", "Falk", multiplicative=True),
            35_040.0,
            0.7,
        ),
    ),
    calibrations={b.GPU.id: Factor(1.02, "1", 0.01, "integrated", "wall")},
    peaks={"NVIDIA A100": Factor(312e12, "FLOP/s", 0.0, "estimated", "data sheet")},
    site="hall-1",
    as_of="2026-11-21T00:00:00+00:00",
)


@pytest.mark.parametrize("factors", [FULL, b.FACTORS, Factors(b.PUE, None)])
def test_a_tag_is_rebuilt_from_its_own_factors(factors: Factors) -> None:
    measured = Measurement(b.GPU.id, b.window(30_000.0, 0, 100), {HOUR: 30_000.0})
    attempt = replace(b.attempt(components=[b.GPU]), measurements=(measured,))
    inputs = b.inputs(attempt, factors=factors)
    issued = json.loads(json.dumps(build_price_tag(inputs).as_dict()))
    again = replace(inputs, factors=read_factors(issued["provenance"]))
    assert first_difference(build_price_tag(again).as_dict(), issued) is None


@pytest.mark.parametrize(
    ("factors", "missing"),
    [
        (FULL, set()),
        (
            Factors(b.PUE, None),
            {"carbon_intensity", "cloud_price", "electricity", "internal_price"},
        ),
        (
            Factors(b.PUE, None, carbon_hours=FULL.carbon_hours, tariff_hours=FULL.tariff_hours),
            {"cloud_price", "internal_price"},
        ),
    ],
)
def test_only_missing_figures_have_a_reason(factors: Factors, missing: set[str]) -> None:
    wire = applied_factors(factors, [HOUR]).as_dict()
    reasons = {name: wire[name] for name in wire if name.endswith("_reason")}
    assert {name.removesuffix("_reason") for name, why in reasons.items() if why} == missing
    assert len(reasons) == 4


def test_a_tag_of_the_first_version_has_fewer_factors() -> None:
    with pytest.raises(InvalidDocument):
        read_factors({"factors": {"pue": None}, "accounting_version": "1"})
