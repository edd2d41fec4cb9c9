from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Device,
    Environment,
    Factors,
    InputFile,
    Measurement,
    QualityInput,
    StageInput,
)
from pricetag.accounting.document.build import UnknownComponent, build_price_tag
from pricetag.accounting.document.canonical import content_sha256
from pricetag.accounting.document.records import PriceTag
from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.quantity.uncertainty import Z_95, counter_edge_std_ratio
from pricetag.accounting.units import J_PER_KWH
from tests.unit.accounting import builders as b


def tag_of(*attempts: AttemptInput, factors: Factors = b.FACTORS) -> dict[str, Any]:
    return build_price_tag(b.inputs(*attempts, factors=factors)).as_dict()


def quantities(node: object, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every quantity of a document, with where it stands."""
    if isinstance(node, dict):
        if {"value", "low", "high", "unit", "source"} <= node.keys():
            return [(path, node)]
        return [q for key, item in node.items() for q in quantities(item, f"{path}.{key}")]
    if isinstance(node, list):
        return [q for index, item in enumerate(node) for q in quantities(item, f"{path}[{index}]")]
    return []


FIELDS = {
    "schema", "run_id", "name", "version", "hardware", "device_count", "flags",
    "it_energy_kwh", "facility_energy_kwh", "co2e_kg", "pue", "carbon_intensity_g_per_kwh",
    "power_w", "duration_s", "flops", "cost", "quality", "stages", "attempts", "components",
    "coverage_ratio", "second_opinion", "provenance", "split", "uncertainty",
    "co2e_market_kg", "water_l", "embodied_co2e_kg", "co2e_total_kg", "carbon_hours_share_ratio",
}  # fmt: skip


def test_the_wire_form_has_exactly_the_fields_of_the_schema() -> None:
    tag = tag_of(b.attempt(stages=[b.stage("0", 10, 90, (b.GPU, b.CPU, b.RAM))]))
    assert tag.keys() == FIELDS
    assert tag["schema"] == "pricetag/1"
    assert tag["flops"].keys() == {
        "dense", "effective", "low_bit", "mfu_ratio", "flops_per_joule", "methods", "uncounted"
    }  # fmt: skip
    assert tag["cost"].keys() == tag["attempts"][0]["cost"].keys() == {
        "cloud", "electricity", "owned_hardware", "total", "basis", "currency"
    }  # fmt: skip
    assert json.loads(json.dumps(tag, allow_nan=False)) == tag


def test_every_quantity_contains_its_value_or_has_a_reason() -> None:
    tag = tag_of(b.attempt(stages=[b.stage("0", 10, 90, (b.GPU, b.CPU, b.RAM))]))
    figures = quantities(tag)
    assert len(figures) > 40
    for path, quantity in figures:
        if quantity["value"] is None:
            assert quantity["reason"], path
        else:
            assert quantity["low"] <= quantity["value"] <= quantity["high"], path
            assert quantity["source"], path


def test_totals_are_sums_and_products() -> None:
    tag = tag_of(b.attempt())
    kwh = (300 + 60 + 20) * 100 / J_PER_KWH
    assert tag["it_energy_kwh"]["value"] == pytest.approx(kwh)
    assert tag["facility_energy_kwh"]["value"] == pytest.approx(kwh * 1.5)
    assert tag["co2e_kg"]["value"] == pytest.approx(kwh * 1.5 * 0.056)
    assert tag["power_w"]["value"] == pytest.approx(380.0)
    assert tag["duration_s"]["value"] == 100.0
    assert tag["coverage_ratio"]["value"] == 1.0


def test_a_product_has_the_weakest_evidence() -> None:
    metered = tag_of(b.attempt(components=[b.GPU]))
    assert metered["it_energy_kwh"]["source"] == "counter"
    assert metered["facility_energy_kwh"]["source"] == "assumed"
    assert tag_of(b.attempt())["it_energy_kwh"]["source"] == "modelled"
    own_pue = replace(b.PUE, source="estimated")
    assert tag_of(b.attempt(), factors=Factors(own_pue, b.GRID))["co2e_kg"]["source"] == "estimated"


def test_intervals_by_propagation() -> None:
    """Two cards of one model: their gains are one error, their edges two."""
    tag = tag_of(b.attempt(components=[b.GPU, b.TWIN]))
    energy, facility = tag["it_energy_kwh"], tag["facility_energy_kwh"]
    edge = counter_edge_std_ratio(100.0)
    own = edge * math.hypot(300, 280) / 580
    relative = math.hypot(0.05, own)
    assert energy["high"] / energy["value"] == pytest.approx(1 + Z_95 * relative)
    assert energy["low"] / energy["value"] == pytest.approx(1 - Z_95 * relative)
    assert facility["high"] / facility["value"] == pytest.approx(
        1 + Z_95 * math.hypot(relative, 0.10)
    )
    co2e = tag["co2e_kg"]
    assert co2e["high"] / co2e["value"] == pytest.approx(
        1 + Z_95 * math.sqrt(relative**2 + 0.10**2 + 0.07**2)
    )


def test_modelled_ram_is_separate_with_its_wide_interval() -> None:
    tag = tag_of(b.attempt())
    ram = next(c for c in tag["components"] if c["kind"] == "ram")
    assert ram["method"] == ram["it_energy_kwh"]["source"] == "modelled"
    assert ram["it_energy_kwh"]["high"] == pytest.approx(ram["it_energy_kwh"]["value"] * 2**Z_95)
    assert ram["share_ratio"]["value"] == pytest.approx(20 / 380)
    assert "mostly_modelled" not in tag["flags"]
    assert "mostly_modelled" in tag_of(b.attempt(components=[b.CPU, b.RAM]))["flags"]


def test_all_attempts_stay_on_the_bill() -> None:
    first = b.attempt(1, 60.0, status="lost")
    second = b.attempt(2, 100.0)
    tag = tag_of(first, second)
    assert tag["duration_s"]["value"] == 160.0
    assert tag["it_energy_kwh"]["value"] == pytest.approx(380 * 160 / J_PER_KWH)
    assert [a["status"] for a in tag["attempts"]] == ["lost", "succeeded"]
    assert [a["share_ratio"]["value"] for a in tag["attempts"]] == pytest.approx([0.375, 0.625])
    assert sum(a["it_energy_kwh"]["value"] for a in tag["attempts"]) == pytest.approx(
        tag["it_energy_kwh"]["value"]
    )
    assert tag["power_w"]["value"] == pytest.approx(380.0)
    assert "several_attempts" in tag["flags"]
    # One card in two attempts is one component with one gain.
    assert len(tag["components"]) == 3


def test_stages_and_the_rest_add_up() -> None:
    every = (b.GPU, b.CPU, b.RAM)
    stages = [
        b.stage("0", 10.25, 60, every),
        b.stage("0.0", 20, 40, every, parent="0"),
        b.stage("1", 60, 90.5, every, kind="measure"),
    ]
    tag = tag_of(b.attempt(stages=stages))
    inside = sum(s["it_energy_kwh"]["value"] for s in tag["stages"] if s["parent"] is None)
    outside = tag["provenance"]["outside_stages"]["it_energy_kwh"]
    assert inside + outside["value"] == pytest.approx(tag["it_energy_kwh"]["value"], rel=1e-9)
    assert outside["value"] == pytest.approx(380 * 19.75 / J_PER_KWH)
    assert tag["attempts"][0]["outside_stages"]["it_energy_kwh"] == outside
    first = tag["stages"][0]
    assert first["share_ratio"]["value"] == pytest.approx(49.75 / 100)
    assert first["duration_s"]["value"] == 49.75
    assert first["facility_energy_kwh"]["value"] == pytest.approx(
        first["it_energy_kwh"]["value"] * 1.5
    )


def test_overlapping_stages_leave_nothing_outside() -> None:
    stages = [b.stage("0", 0, 90, (b.GPU,)), b.stage("1", 10, 100, (b.GPU,))]
    tag = tag_of(b.attempt(components=[b.GPU], stages=stages))
    outside = tag["provenance"]["outside_stages"]["it_energy_kwh"]
    assert outside["value"] is None
    assert "exceed" in outside["reason"]


def test_a_lost_component_is_missing_and_not_zero() -> None:
    lost = replace(
        b.attempt(components=[b.GPU, b.CPU]),
        measurements=(
            Measurement(b.GPU.id, b.dark(0, 100)),
            b.steady(b.CPU, 60.0, 0, 100),
        ),
    )
    tag = tag_of(lost)
    assert tag["it_energy_kwh"]["value"] == pytest.approx(6_000 / J_PER_KWH)
    assert tag["coverage_ratio"]["value"] == 0.5
    assert {"component_missing", "incomplete_coverage", "lost"} <= set(tag["flags"])
    gpu = tag["components"][0]
    assert gpu["it_energy_kwh"]["value"] is None
    assert gpu["it_energy_kwh"]["reason"] == "gpu:GPU-1: the component was lost"
    assert gpu["power_w"]["value"] is None
    assert gpu["coverage_ratio"]["value"] == 0.0


def test_a_declared_component_without_measurement_is_missing() -> None:
    bare = replace(b.attempt(components=[b.GPU, b.CPU]), measurements=())
    tag = tag_of(bare)
    assert tag["it_energy_kwh"]["value"] is None
    assert tag["it_energy_kwh"]["reason"] == "gpu:GPU-1: not measured; cpu: not measured"
    assert tag["co2e_kg"]["value"] is None
    assert tag["coverage_ratio"]["value"] == 0.0


def test_power_is_the_mean_while_metered() -> None:
    half = replace(b.window(15_000, 0, 100), covered_s=50.0)
    part = replace(
        b.attempt(components=[b.GPU, b.CPU]),
        measurements=(Measurement(b.GPU.id, half), b.steady(b.CPU, 60.0, 0, 100)),
    )
    tag = tag_of(part)
    assert tag["power_w"]["value"] == pytest.approx(300 + 60)
    assert tag["coverage_ratio"]["value"] == 0.75


def test_a_run_without_any_meter_has_unknown_energy() -> None:
    tag = tag_of(b.attempt(components=[]))
    assert tag["it_energy_kwh"] == {
        "value": None,
        "low": None,
        "high": None,
        "unit": "kWh",
        "source": None,
        "reason": "no component was metered",
    }
    assert tag["coverage_ratio"]["value"] == 0.0
    assert "nothing_metered" in tag["flags"]
    assert tag["duration_s"]["value"] == 100.0


def test_a_run_without_attempts_has_unknown_figures() -> None:
    tag = tag_of()
    assert tag["duration_s"]["value"] is None
    assert tag["it_energy_kwh"]["value"] is None
    assert tag["attempts"] == tag["stages"] == tag["quality"] == []


def test_a_stage_of_a_lost_worker_never_ended() -> None:
    open_stage = replace(b.stage("0", 10, 100, (b.GPU,), status="failed"), end_s=None)
    tag = tag_of(b.attempt(components=[b.GPU], stages=[open_stage], status="lost"))
    stage = tag["stages"][0]
    assert stage["duration_s"]["reason"] == "it never ended"
    assert stage["it_energy_kwh"]["value"] == pytest.approx(300 * 90 / J_PER_KWH)
    assert stage["coverage_ratio"]["value"] == 1.0


def test_a_window_shorter_than_the_counter_s_resolution_has_bounds() -> None:
    short = Measurement(b.GPU.id, b.window(150.0, 5.0, 5.5))
    stage = replace(b.stage("0", 5, 6, ()), end_s=5.5, measurements=(short,))
    tag = tag_of(b.attempt(components=[b.GPU], stages=[stage]))
    energy = tag["stages"][0]["it_energy_kwh"]
    assert energy["source"] == "estimated"
    assert energy["low"] == 0.0
    assert energy["high"] == pytest.approx(400 * 0.5 / J_PER_KWH)
    assert "short_window" in tag["stages"][0]["flags"]
    facility = tag["stages"][0]["facility_energy_kwh"]
    assert facility["high"] == pytest.approx(1.5 * (1 + Z_95 * 0.1) * 200 / J_PER_KWH)


def test_a_counter_without_a_tick_in_a_short_window_does_not_prove_zero() -> None:
    still = Measurement(b.GPU.id, b.window(0.0, 5.0, 5.05))
    stage = replace(b.stage("0", 5, 6, ()), end_s=5.05, measurements=(still,))
    tag = tag_of(b.attempt(components=[b.GPU], stages=[stage]))
    energy = tag["stages"][0]["it_energy_kwh"]
    assert energy["source"] == "estimated"
    assert (energy["value"], energy["low"]) == (0.0, 0.0)
    assert energy["high"] == pytest.approx(400 * 0.05 / J_PER_KWH)
    power = tag["stages"][0]["power_w"]
    assert (power["value"], power["high"]) == (0.0, pytest.approx(400))
    assert "short_window" in tag["stages"][0]["flags"]


def test_more_power_than_the_board_can_draw_is_flagged() -> None:
    wild = Measurement(b.GPU.id, b.window(60_000, 0, 100))
    tag = tag_of(replace(b.attempt(components=[b.GPU]), measurements=(wild,)))
    assert "above_power_limit" in tag["flags"]


def test_an_unknown_zone_leaves_carbon_unknown() -> None:
    tag = tag_of(b.attempt(), factors=Factors(b.PUE, None))
    assert tag["co2e_kg"]["reason"] == "no grid zone is configured"
    assert tag["carbon_intensity_g_per_kwh"]["value"] is None
    assert tag["facility_energy_kwh"]["value"] is not None
    assert "carbon_intensity_unknown" in tag["flags"]


def test_the_pue_interval_stops_at_one() -> None:
    tight = replace(b.PUE, value=1.1)
    pue = tag_of(b.attempt(), factors=Factors(tight, b.GRID))["pue"]
    assert pue["low"] == 1.0
    assert pue["high"] == pytest.approx(1.1 * (1 + Z_95 * 0.1))


@pytest.mark.parametrize("value", [0.9, math.nan, math.inf])
def test_an_impossible_pue_is_rejected(value: float) -> None:
    with pytest.raises(InvalidFactor, match="pue"):
        tag_of(b.attempt(), factors=Factors(replace(b.PUE, value=value), b.GRID))


def test_a_negative_intensity_is_rejected() -> None:
    with pytest.raises(InvalidFactor, match="carbon_intensity"):
        tag_of(b.attempt(), factors=Factors(b.PUE, replace(b.GRID, value=-1.0)))


def test_a_measurement_of_an_undeclared_component_is_rejected() -> None:
    with pytest.raises(UnknownComponent, match="gpu:GPU-2; it has: gpu:GPU-1"):
        tag_of(
            replace(b.attempt(components=[b.GPU]), measurements=(b.steady(b.TWIN, 280.0, 0, 100),))
        )


def test_quality_is_the_last_report_of_a_stage() -> None:
    reports = [QualityInput("accuracy", 0.01 * step, "validation") for step in range(90)]
    reports.append(QualityInput("accuracy", 0.5, "test"))
    one = b.stage("1", 10, 20, (b.GPU,), kind="command", quality=reports)
    tag = tag_of(b.attempt(components=[b.GPU], stages=[one]))
    for listed in (tag["quality"], tag["stages"][0]["quality"]):
        assert [(q["split"], q["value"]) for q in listed] == [("validation", 0.89), ("test", 0.5)]


def test_quality_names_its_class_and_why_it_has_no_value() -> None:
    reports = [
        QualityInput("f1", 0.8, "validation", of_class="equivalent"),
        QualityInput("mcc", None, "validation", reason="all labels are of one class"),
    ]
    one = b.stage("1", 10, 20, (b.GPU,), kind="evaluate", quality=reports)
    f1, mcc = tag_of(b.attempt(components=[b.GPU], stages=[one]))["quality"]
    assert f1["of_class"] == "equivalent"
    assert "reason" not in f1
    assert (mcc["value"], mcc["reason"]) == (None, "all labels are of one class")
    assert "of_class" not in mcc


def test_quality_is_that_of_the_latest_attempt() -> None:
    def stage(value: float) -> StageInput:
        metric = QualityInput("accuracy", value, "validation")
        return b.stage("1", 10, 20, (b.GPU,), kind="evaluate", quality=[metric])

    tag = tag_of(
        b.attempt(1, components=[b.GPU], stages=[stage(0.7)], status="interrupted"),
        b.attempt(2, components=[b.GPU], stages=[stage(0.8)]),
    )
    assert tag["quality"] == [
        {
            "metric": "accuracy",
            "value": 0.8,
            "split": "validation",
            "stage": "1",
            "unit": None,
            "attempt": 2,
        }
    ]
    assert tag["stages"][0]["quality"][0]["value"] == 0.7


def test_hardware_and_provenance_are_on_the_price_tag() -> None:
    environment = Environment({"torch": "2.13.0"}, {"train": 0}, "3.11.9", "Linux", "abc123")
    devices = (Device("NVIDIA A100", "GPU-1"), Device("NVIDIA A100", "GPU-2"))
    first = replace(b.attempt(1), environment=environment, devices=devices)
    second = replace(
        b.attempt(2), environment=replace(environment, git_commit="def456"), node_name="node-b"
    )
    tag = tag_of(first, second)
    assert tag["device_count"] == 2
    assert tag["hardware"]["devices"][0] == {"kind": "gpu", "name": "NVIDIA A100", "count": 2}
    assert tag["hardware"]["nodes"] == ["node-a", "node-b"]
    provenance = tag["provenance"]
    assert provenance["git_commit"] == "def456"
    assert provenance["packages"] == {"torch": "2.13.0"}
    assert provenance["seeds"] == {"train": 0}
    assert provenance["accounting_version"] == "1"
    assert provenance["factors"]["carbon_intensity"]["licence"] == "CC BY 4.0"
    assert provenance["factors"]["pue"]["citation"] == "Uptime Institute 2025"
    assert "environment_changed" in tag["flags"]


def test_data_and_model_files_of_all_attempts_are_listed_once_for_each_content() -> None:
    train = InputFile("data.train", "a.tsv", 10, "a" * 64, None)
    edited = replace(train, size_bytes=11, sha256="b" * 64)
    unknown = InputFile("model", "org/base", None, None, "of the hub")
    first = replace(b.attempt(1), environment=Environment(inputs=(train, unknown)))
    second = replace(b.attempt(2), environment=Environment(inputs=(edited, unknown)))
    document = tag_of(first, second)
    assert document["provenance"]["inputs"] == [
        {
            "role": "data.train",
            "path": "a.tsv",
            "size_bytes": 10,
            "sha256": "a" * 64,
            "reason": None,
        },
        {
            "role": "model",
            "path": "org/base",
            "size_bytes": None,
            "sha256": None,
            "reason": "of the hub",
        },
        {
            "role": "data.train",
            "path": "a.tsv",
            "size_bytes": 11,
            "sha256": "b" * 64,
            "reason": None,
        },
    ]
    assert PriceTag.from_dict(document).as_dict() == document
    assert PriceTag.from_dict(document).provenance.inputs == (train, unknown, edited)


def test_a_price_tag_without_recorded_files_does_not_mention_them() -> None:
    bare = tag_of(replace(b.attempt(1), environment=Environment()))
    assert "inputs" not in bare["provenance"]
    assert PriceTag.from_dict(bare).provenance.inputs is None


def test_the_same_inputs_give_the_same_price_tag() -> None:
    attempts = [b.attempt(stages=[b.stage("0", 10, 90, (b.GPU, b.CPU, b.RAM))])]
    first, second = tag_of(*attempts), tag_of(*attempts)
    assert content_sha256(first) == content_sha256(second)
    reordered = dict(reversed(first.items()))
    assert content_sha256(reordered) == content_sha256(first)
    assert content_sha256({**first, "name": "another"}) != content_sha256(first)
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_sha256({"value": math.nan})
