"""FLOPs, money and the second opinion on a price tag."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Device,
    Factor,
    Factors,
    FlopsCount,
    SecondOpinion,
)
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.units import J_PER_KWH
from tests.unit.accounting import builders as b

TRAINED = FlopsCount(6e12, 3e12, None, "flop_counter")
FORMULA = FlopsCount(1e12, 1e12, 2e12, "closed_form", ("aten::foo",))


def tag_of(*attempts: AttemptInput, factors: Factors = b.FACTORS) -> dict[str, Any]:
    return build_price_tag(b.inputs(*attempts, factors=factors)).as_dict()


def test_flops_are_summed_over_stages_and_attempts() -> None:
    stages = [
        b.stage("0", 0, 50, (b.GPU,), flops=TRAINED),
        b.stage("1", 50, 90, (b.GPU,), kind="measure", flops=FORMULA),
    ]
    tag = tag_of(
        b.attempt(1, components=[b.GPU], stages=stages[:1], status="lost"),
        b.attempt(2, components=[b.GPU], stages=stages),
    )
    flops = tag["flops"]
    assert flops["dense"]["value"] == 13e12
    assert flops["effective"]["value"] == 7e12
    assert flops["low_bit"]["value"] == 2e12
    assert flops["dense"]["source"] == "modelled"
    assert flops["dense"]["reason"] == "a lower bound, not counted: aten::foo"
    assert tag["stages"][0]["flops"]["dense"]["source"] == "counter"
    assert tag["stages"][0]["flops"]["low_bit"]["value"] is None


def test_a_parent_is_not_counted_beside_its_children() -> None:
    own = [
        b.stage("0", 0, 50, (b.GPU,), flops=TRAINED),
        b.stage("0.0", 0, 20, (b.GPU,), parent="0", flops=replace(TRAINED, dense=2e12)),
    ]
    assert tag_of(b.attempt(stages=own))["flops"]["dense"]["value"] == 6e12
    from_children = [replace(own[0], flops=None), own[1]]
    tag = tag_of(b.attempt(stages=from_children))
    assert tag["flops"]["dense"]["value"] == 2e12
    assert tag["stages"][0]["flops"]["dense"]["value"] == 2e12


def test_uncounted_stages_are_named() -> None:
    stages = [
        b.stage("0", 0, 50, (b.GPU,), kind="quantize"),
        b.stage("1", 50, 60, (b.GPU,), status="reused"),
    ]
    flops = tag_of(b.attempt(components=[b.GPU], stages=stages))["flops"]["dense"]
    assert flops["value"] is None
    assert flops["reason"] == "not counted: stage 0 (quantize)"


def test_unknown_operations_of_a_script_state_how_to_make_them_known() -> None:
    stages = [
        b.stage("0", 0, 50, (b.GPU,), kind="command"),
        b.stage("0.0", 0, 20, (b.GPU,), parent="0"),
    ]
    tag = tag_of(b.attempt(components=[b.GPU], stages=stages))
    for flops in (tag["flops"], tag["stages"][0]["flops"], tag["stages"][1]["flops"]):
        assert flops["dense"]["reason"] == (
            "nobody counts a script's operations; it can tell them with pricetag.flops(dense)"
        )
    assert tag["flops"]["uncounted"] == ["stage 0.0 (train)"]
    reported_stages = [stages[0], replace(stages[1], flops=FORMULA)]
    tag = tag_of(b.attempt(components=[b.GPU], stages=reported_stages))
    assert tag["flops"]["dense"]["value"] == FORMULA.dense


def price(value: float) -> Factor:
    return Factor(value, "USD/device-hour", 0.0, "assumed", "price book")


PRICED = Factors(
    b.PUE,
    b.GRID,
    price(0.5),
    price(2.0),
    Factor(0.25, "USD/kWh", 0.0, "estimated", "contract"),
    "USD",
)


def test_cloud_cost_is_a_range_over_all_device_hours() -> None:
    two = replace(b.attempt(2, 3_600.0), devices=(Device("NVIDIA A100"),) * 2)
    one = b.attempt(1, 1_800.0, status="lost")  # its one metered GPU stands for the device
    cost = tag_of(one, two, factors=PRICED)["cost"]
    assert cost["currency"] == cost["cloud"]["unit"] == "USD"
    assert (cost["cloud"]["low"], cost["cloud"]["high"]) == (1.25, 5.0)
    assert cost["cloud"]["value"] == 3.125
    assert cost["cloud"]["source"] == "assumed"


def test_electricity_is_facility_energy_at_the_tariff() -> None:
    tag = tag_of(b.attempt(1, 3_600.0, components=[b.GPU]), factors=PRICED)
    electricity = tag["cost"]["electricity"]
    assert electricity["value"] == pytest.approx(0.3 * 1.5 * 0.25)
    assert electricity["low"] == pytest.approx(tag["facility_energy_kwh"]["low"] * 0.25)
    assert electricity["source"] == "assumed"


def test_unknown_costs_have_their_reason() -> None:
    cost = tag_of(b.attempt())["cost"]
    assert cost["currency"] is None
    assert "no price" in cost["cloud"]["reason"]
    assert "no electricity tariff" in cost["electricity"]["reason"]
    on_cpu = tag_of(b.attempt(components=[b.CPU]), factors=PRICED)["cost"]["cloud"]
    assert "no accelerator" in on_cpu["reason"]


def test_a_price_without_a_currency_is_rejected() -> None:
    with pytest.raises(InvalidFactor, match="currency"):
        tag_of(b.attempt(), factors=replace(PRICED, currency=None))


def test_a_price_range_in_reverse_order_is_rejected() -> None:
    wrong = replace(PRICED, cloud_price_low=price(3.0))
    with pytest.raises(InvalidFactor, match="price_low"):
        tag_of(b.attempt(), factors=wrong)


def test_the_second_opinion_is_compared_part_by_part() -> None:
    ours_kwh = 380 * 100 / J_PER_KWH
    opinion = SecondOpinion(
        "codecarbon", "3.3.2", 60 * 100 / J_PER_KWH, None, 40 * 100 / J_PER_KWH, 1.1 * ours_kwh
    )
    with_opinion = replace(b.attempt(1), second_opinion=opinion)
    silent = b.attempt(2)
    comparison = tag_of(with_opinion, silent)["second_opinion"]
    assert comparison["tool"] == "codecarbon"
    assert comparison["attempts"] == [1]
    assert comparison["total"]["ours_kwh"]["value"] == pytest.approx(ours_kwh)
    assert comparison["total"]["difference_ratio"]["value"] == pytest.approx(0.1)
    parts = {part["kind"]: part for part in comparison["components"]}
    assert parts["cpu"]["difference_ratio"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert parts["ram"]["difference_ratio"]["value"] == pytest.approx(1.0)
    assert parts["gpu"]["theirs_kwh"]["value"] is None
    assert parts["gpu"]["difference_ratio"]["value"] is None


def test_a_failed_second_opinion_has_a_reason() -> None:
    opinion = SecondOpinion("codecarbon", "3.3.2", None, None, None, None, "it could not start")
    comparison = tag_of(replace(b.attempt(1), second_opinion=opinion))["second_opinion"]
    assert comparison["attempts"] == []
    assert comparison["total"]["theirs_kwh"]["reason"] == "it could not start"
    assert comparison["total"]["difference_ratio"]["reason"] == "it could not start"
    assert comparison["reason"] == "it could not start"


def test_no_second_opinion_is_null() -> None:
    assert tag_of(b.attempt())["second_opinion"] is None
