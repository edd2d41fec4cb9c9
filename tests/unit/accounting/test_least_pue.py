"""Facility energy is never below IT energy: the PUE is at least 1, with its stated mean."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.accounting.bill.bill import LEAST_PUE, Biller
from pricetag.accounting.bill.charges import Charge, bounded_quantity, total
from pricetag.accounting.bill.inputs import Factor, Factors
from pricetag.accounting.bill.rates import Rate
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.records import PriceTag
from pricetag.accounting.forecast.price import Rate as QuoteRate
from pricetag.accounting.forecast.price import Rates, quantities
from pricetag.accounting.forecast.projection import Range
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.uncertainty import (
    SAMPLES,
    Z_95,
    Multiplier,
    Term,
    above_least,
    combine,
)
from tests.unit.accounting import builders as b

STD = st.one_of(st.just(0.0), st.floats(1e-6, 2.0))
PUE = st.one_of(st.sampled_from([1.0, 1.0 + 1e-12, 1.001, 1.02, 1.1, 1.54]), st.floats(1.0, 4.0))


def factors(pue: float, std: float, *, multiplicative: bool = False) -> Factors:
    return Factors(
        replace(b.PUE, value=pue, relative_std_ratio=std, multiplicative=multiplicative),
        replace(b.GRID, relative_std_ratio=0.0),
        electricity_tariff=replace(b.GRID, value=0.3, unit="EUR/kWh", relative_std_ratio=0.0),
        currency="EUR",
    )


def charges(gpu_s: float, *, modelled: bool, calibration: float) -> list[Charge]:
    """A GPU, whose window may be too short for its counter, and perhaps modelled parts."""
    short = replace(b.GPU, power_limit_w=400.0, baseline_w=50.0)
    metered = [Charge(short, b.window(300.0 * gpu_s, 0.0, gpu_s), gpu_s, "n")]
    if modelled:
        metered += [
            Charge(c, b.window(b.POWERS[c.id] * gpu_s, 0.0, gpu_s, "modelled"), gpu_s, "n")
            for c in (b.CPU, b.RAM)
        ]
    factor = Factor(1.0, "1", calibration, "counter", "a meter")
    return [replace(metered[0], calibration=factor), *metered[1:]]


def ends(quantity: Quantity) -> tuple[float, float, float]:
    assert quantity.low is not None
    assert quantity.value is not None
    assert quantity.high is not None
    return quantity.low, quantity.value, quantity.high


@given(
    PUE,
    STD,
    st.booleans(),
    st.sampled_from([0.3, 2.0, 60.0]),
    st.booleans(),
    st.sampled_from([0.0, 0.01, 0.3]),
)
@settings(deadline=None, max_examples=150)
def test_no_interval_of_the_facility_extends_below_that_of_it_energy(
    pue: float, std: float, multiplicative: bool, gpu_s: float, modelled: bool, gain: float
) -> None:
    used = charges(gpu_s, modelled=modelled, calibration=gain)
    biller = Biller(factors(pue, std, multiplicative=multiplicative), 0)
    it = ends(biller.it_kwh(used))
    facility = ends(biller.facility_kwh(used))
    assert all(part <= whole for part, whole in zip(it, facility, strict=True))
    assert facility[0] <= facility[1] <= facility[2]
    assert facility[1] == pytest.approx(it[1] * pue, rel=1e-12)
    assert biller.carbon is not None
    for rate, unit in (
        (biller.carbon, "g"),
        (Rate("tariff", biller.factors.carbon_intensity), "g"),
    ):
        product = ends(biller.times(used, rate, unit))
        without = ends(total(used, [rate], unit=unit, seed=0))
        assert all(part <= whole for part, whole in zip(without, product, strict=True))


@given(PUE, STD)
@settings(deadline=None, max_examples=100)
def test_the_pue_itself_is_at_least_1(pue: float, std: float) -> None:
    low, value, high = ends(bounded_quantity(factors(pue, std).pue, LEAST_PUE))
    assert LEAST_PUE <= low <= value == pue <= high


@pytest.mark.parametrize(("pue", "std"), [(1.54, 0.1), (1.1, 0.03), (1.1, 0.1), (1.02, 0.03)])
def test_mean_and_error_of_the_pue_are_those_stated(pue: float, std: float) -> None:
    quantile = above_least(std, 1 / pue)
    normal = statistics.NormalDist()
    draws = [pue * quantile(normal.inv_cdf((i + 0.5) / 100_000)) for i in range(100_000)]
    assert min(draws) > 1
    assert statistics.fmean(draws) == pytest.approx(pue, rel=1e-3)
    assert statistics.pstdev(draws) == pytest.approx(pue * std, rel=0.05)
    low, _, high = ends(bounded_quantity(factors(pue, std).pue, LEAST_PUE))
    inside = sum(low <= draw <= high for draw in draws) / len(draws)
    assert inside == pytest.approx(0.95, abs=1e-3)


def test_a_pue_far_above_1_has_almost_the_interval_of_a_normal_error() -> None:
    low, _, high = ends(bounded_quantity(factors(3.0, 0.01).pue, LEAST_PUE))
    assert low == pytest.approx(3.0 * (1 - Z_95 * 0.01), rel=1e-3)
    assert high == pytest.approx(3.0 * (1 + Z_95 * 0.01), rel=1e-3)


def test_the_interval_of_a_product_is_that_of_the_draws() -> None:
    terms = [Term(2.0, "gpu", 0.05)]
    bounded = Multiplier("pue", 0.1, least_ratio=1 / 1.2)
    interval = combine(terms, [bounded])
    sigma = math.sqrt(math.log1p((0.1 / (1 - 1 / 1.2)) ** 2))
    assert sigma == pytest.approx(0.5545, abs=1e-4)
    excess = 1 - 1 / 1.2
    alone = combine([Term(2.0, "unit", 0.0)], [bounded])
    assert alone.high == pytest.approx(
        2.0 * (1 / 1.2 + excess * math.exp(sigma * Z_95 - sigma**2 / 2)), rel=2 / SAMPLES * 10
    )
    assert interval.low < alone.low < 2.0 < alone.high < interval.high
    assert combine(terms, [Multiplier("pue", 0.0, least_ratio=1.0)]) == combine(terms)


def price_tag(version: str, pue: float, std: float) -> PriceTag:
    script = b.stage("0", 0.0, 60.0, [b.GPU])
    inputs = b.inputs(b.attempt(1, 60.0, [b.GPU], [script]), factors=factors(pue, std))
    return build_price_tag(replace(inputs, accounting_version=version))


def test_earlier_versions_keep_their_interval() -> None:
    for version, is_below in (("3", True), ("4", True), ("5", False)):
        energy = price_tag(version, 1.05, 0.2).energy
        assert (ends(energy.facility_energy_kwh)[0] < ends(energy.it_energy_kwh)[0]) is is_below


def test_version_5_differs_in_intervals_with_the_pue_alone() -> None:
    old, new = (price_tag(version, 1.2, 0.1).as_dict() for version in ("4", "5"))
    changed = set(_changed(old, new))
    assert changed
    assert {path.rpartition(".")[2] for path in changed} <= {"low", "high", "accounting_version"}
    figures = {path.split(".")[-2] for path in changed}
    assert figures == {
        "pue",
        "facility_energy_kwh",
        "co2e_kg",
        "electricity",
        "total",
        "provenance",
    }


def _changed(one: Any, other: Any, path: str = "") -> list[str]:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return [p for key in one for p in _changed(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list | tuple):
        pairs = enumerate(zip(one, other, strict=True))
        return [p for i, (a, z) in pairs for p in _changed(a, z, f"{path}[{i}]")]
    return [] if one == other else [path]


@given(PUE, st.floats(0, 1), st.floats(0, 2), st.floats(0, 2))
def test_a_quote_s_facility_energy_is_not_below_its_it_energy(
    pue: float, log_half: float, down: float, up: float
) -> None:
    energy = Range(1.0, math.exp(-down), math.exp(up))
    rates = Rates(QuoteRate(pue, log_half), None, "no zone", None, None, None, "no price", None)
    quoted = quantities(Range(1.0, 1.0, 1.0), energy, rates)
    it, facility = ends(quoted["it_energy_kwh"]), ends(quoted["facility_energy_kwh"])
    assert all(part <= whole for part, whole in zip(it, facility, strict=True))
