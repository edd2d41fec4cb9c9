"""MFU, operations per joule, and the evidence of a count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import AttemptInput, Device, Factor, Factors, FlopsCount
from pricetag.accounting.document.build import build_price_tag
from tests.unit.accounting import builders as b

COUNTED = FlopsCount(3e15, 3e15, None, "FlopCounterMode on meta tensors, 2 per multiply-add")
PEAK = Factor(312e12, "FLOP/s", 0.0, "estimated", "data sheet", 2020)
WITH_PEAK = replace(b.FACTORS, peaks={"NVIDIA A100": PEAK})


def tag_of(*attempts: AttemptInput, factors: Factors = WITH_PEAK) -> dict[str, Any]:
    return build_price_tag(b.inputs(*attempts, factors=factors)).as_dict()


def trained(count: FlopsCount | None = COUNTED) -> AttemptInput:
    stages = [b.stage("0", 10, 60, (b.GPU,), flops=count)]
    return b.attempt(components=[b.GPU], stages=stages)


def test_efficiency_is_computed_for_stages_and_the_run() -> None:
    tag = tag_of(trained())
    stage, run = tag["stages"][0]["flops"], tag["flops"]
    assert stage["mfu_ratio"]["value"] == pytest.approx(3e15 / (50 * 312e12))
    assert run["mfu_ratio"]["value"] == pytest.approx(3e15 / (100 * 312e12))
    assert stage["flops_per_joule"]["value"] == pytest.approx(3e15 / (300 * 50))
    energy = tag["it_energy_kwh"]
    assert run["flops_per_joule"]["low"] == pytest.approx(3e15 / (energy["high"] * 3.6e6))
    assert run["flops_per_joule"]["high"] == pytest.approx(3e15 / (energy["low"] * 3.6e6))
    assert run["mfu_ratio"]["source"] == "estimated"


def test_several_cards_have_a_higher_peak() -> None:
    two = replace(trained(), devices=(Device("NVIDIA A100"),) * 2)
    assert tag_of(two)["flops"]["mfu_ratio"]["value"] == pytest.approx(3e15 / (2 * 100 * 312e12))


def test_time_of_failed_attempts_counts() -> None:
    tag = tag_of(b.attempt(1, 100.0, components=[b.GPU], status="lost"), trained())
    assert tag["flops"]["mfu_ratio"]["value"] == pytest.approx(3e15 / (200 * 312e12))


def test_a_card_of_unknown_peak_has_no_mfu() -> None:
    mfu = tag_of(trained(), factors=b.FACTORS)["flops"]["mfu_ratio"]
    assert mfu["value"] is None
    assert mfu["reason"] == "the peak of NVIDIA A100 is not in the catalog"


def test_a_processor_has_no_peak_and_has_operations_per_joule() -> None:
    stages = [b.stage("0", 10, 60, (b.CPU,), flops=COUNTED)]
    flops = tag_of(b.attempt(components=[b.CPU], stages=stages))["flops"]
    assert flops["mfu_ratio"]["value"] is None
    assert "no accelerator" in flops["mfu_ratio"]["reason"]
    assert flops["flops_per_joule"]["value"] == pytest.approx(3e15 / 6_000)
    assert flops["flops_per_joule"]["source"] == "modelled"


def test_uncounted_operations_are_unknown_everywhere() -> None:
    flops = tag_of(trained(None))["flops"]
    assert flops["mfu_ratio"]["value"] is flops["flops_per_joule"]["value"] is None
    assert flops["uncounted"] == ["stage 0 (train)"]


def test_a_count_states_its_method_and_omissions() -> None:
    count = replace(COUNTED, uncounted=("aten::_softmax",))
    flops = tag_of(trained(count))["flops"]
    assert flops["methods"] == [COUNTED.method]
    assert flops["uncounted"] == ["aten::_softmax"]
    remark = "a lower bound, not counted: aten::_softmax"
    for name in ("dense", "mfu_ratio", "flops_per_joule"):
        assert flops[name]["value"] is not None
        assert flops[name]["reason"] == remark


@pytest.mark.parametrize(
    ("method", "source"),
    [
        ("FlopCounterMode on meta tensors, 2 per multiply-add", "counter"),
        ("flop_counter", "counter"),
        ("closed_form", "modelled"),
        ("three forward passes by FlopCounterMode", "modelled"),
        (None, "modelled"),
    ],
)
def test_operators_that_were_counted_are_evidence(method: str | None, source: str) -> None:
    flops = tag_of(trained(replace(COUNTED, method=method)))["flops"]
    assert flops["dense"]["source"] == source
