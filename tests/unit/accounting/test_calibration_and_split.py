"""Calibrated cards, aligned edges, short windows, and the idle part of a charge."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import AttemptInput, Factor, Factors, Measurement
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.quantity.uncertainty import Z_95, counter_edge_std_ratio
from pricetag.accounting.readings.component import Component
from pricetag.accounting.units import J_PER_KWH
from tests.unit.accounting import builders as b

CALIBRATED = Factor(1.04, "1", 0.01, "integrated", "wall meter, 2026-02-01")


def tag_of(*attempts: AttemptInput, factors: Factors = b.FACTORS) -> dict[str, Any]:
    return build_price_tag(b.inputs(*attempts, factors=factors)).as_dict()


def test_a_calibration_multiplies_its_card_alone() -> None:
    factors = replace(b.FACTORS, calibrations={b.GPU.id: CALIBRATED})
    stages = [b.stage("0", 10, 60, (b.GPU, b.TWIN))]
    tag = tag_of(b.attempt(components=[b.GPU, b.TWIN], stages=stages), factors=factors)
    assert tag["it_energy_kwh"]["value"] == pytest.approx((312 + 280) * 100 / J_PER_KWH)
    assert tag["stages"][0]["it_energy_kwh"]["value"] == pytest.approx(592 * 50 / J_PER_KWH)
    outside = tag["provenance"]["outside_stages"]["it_energy_kwh"]["value"]
    assert outside == pytest.approx(592 * 50 / J_PER_KWH)
    first, second = tag["components"]
    assert first["calibration"]["value"] == 1.04
    assert second["calibration"] is None


def test_the_error_of_a_calibration_replaces_the_gain_error_and_is_independent() -> None:
    """A calibrated card shares no error with its twins."""
    both = {b.GPU.id: CALIBRATED, b.TWIN.id: replace(CALIBRATED, value=1.0)}
    tag = tag_of(
        b.attempt(components=[b.GPU, b.TWIN]), factors=replace(b.FACTORS, calibrations=both)
    )
    edge = counter_edge_std_ratio(100.0)
    std = math.hypot(312, 280) / 592 * math.hypot(0.01, edge)
    energy = tag["it_energy_kwh"]
    assert energy["high"] / energy["value"] == pytest.approx(1 + Z_95 * std)
    names = [item["term"] for item in tag["uncertainty"]["it_energy"]]
    assert names[:2] == ["calibration of gpu:GPU-1", "calibration of gpu:GPU-2"]


def test_a_calibration_of_zero_is_rejected() -> None:
    none = {b.GPU.id: replace(CALIBRATED, value=0.0)}
    with pytest.raises(ValueError, match=r"calibrations\.gpu:GPU-1"):
        tag_of(b.attempt(), factors=replace(b.FACTORS, calibrations=none))


@pytest.mark.parametrize(
    ("update_s", "flags", "edge_s"),
    [
        (None, (), 0.1),
        (0.02, (), 0.02),
        (None, ("edge_aligned",), 0.025),
        (0.02, ("edge_aligned",), 0.005),
    ],
)
def test_the_error_of_the_edges_follows_from_the_update_period(
    update_s: float | None, flags: tuple[str, ...], edge_s: float
) -> None:
    card = replace(b.GPU, gain_std_ratio=0.0, update_s=update_s)
    measured = Measurement(card.id, replace(b.window(1_200.0, 0, 4), flags=flags))
    attempt = replace(b.attempt(1, 4.0, components=[card]), measurements=(measured,))
    tag = tag_of(attempt)
    energy = tag["it_energy_kwh"]
    std = edge_s / (math.sqrt(6) * 4)
    assert energy["high"] / energy["value"] == pytest.approx(1 + Z_95 * std)
    assert tag["components"][0]["edge_s"] == pytest.approx(edge_s)


def short(energy_j: float, card: Any) -> dict[str, Any]:
    measured = Measurement(card.id, b.window(energy_j, 5.0, 5.5))
    stage = replace(b.stage("0", 5, 6, ()), end_s=5.5, measurements=(measured,))
    tag = tag_of(b.attempt(components=[card], stages=[stage]))
    only_stage: dict[str, Any] = tag["stages"][0]
    return only_stage


def test_a_short_window_lies_between_idling_and_full_power() -> None:
    energy = short(150.0, replace(b.GPU, baseline_w=60.0))["it_energy_kwh"]
    assert energy["source"] == "estimated"
    assert energy["low"] == pytest.approx(60 * 0.5 / J_PER_KWH)
    assert energy["high"] == pytest.approx(400 * 0.5 / J_PER_KWH)
    sliced = replace(b.GPU, baseline_w=60.0, reserved_ratio=0.5)
    assert short(150.0, sliced)["it_energy_kwh"]["low"] == pytest.approx(30 * 0.5 / J_PER_KWH)


def test_a_counter_below_idle_power_widens_its_bounds() -> None:
    energy = short(10.0, replace(b.GPU, baseline_w=60.0))["it_energy_kwh"]
    assert energy["low"] == energy["value"] == pytest.approx(10 / J_PER_KWH)


def test_a_window_without_tick_or_limit_is_unknown_and_never_zero() -> None:
    stage = short(0.0, replace(b.GPU, power_limit_w=None))
    assert stage["it_energy_kwh"]["value"] is None
    assert "not updated" in stage["it_energy_kwh"]["reason"]
    assert "component_missing" in stage["flags"]


def shared(component: Any, energy_j: float, gross_j: float, baseline_j: float | None) -> Any:
    window = replace(b.window(energy_j, 0, 100), device_energy_j=gross_j, baseline_j=baseline_j)
    return Measurement(component.id, window)


def test_gross_is_the_sum_of_baseline_and_dynamic() -> None:
    attempt = replace(
        b.attempt(components=[b.GPU, b.TWIN]),
        measurements=(
            shared(b.GPU, 15_000.0, 30_000.0, 3_000.0),
            shared(b.TWIN, 28_000.0, 28_000.0, 6_000.0),
        ),
    )
    tag = tag_of(attempt)
    split = tag["split"]
    assert split["gross_kwh"]["value"] == pytest.approx(58_000 / J_PER_KWH)
    assert split["charged_ratio"]["value"] == pytest.approx(43 / 58)
    assert split["baseline_kwh"]["value"] == pytest.approx(9_000 / J_PER_KWH)
    assert split["dynamic_kwh"]["value"] == pytest.approx(34_000 / J_PER_KWH)
    assert split["dynamic_kwh"]["value"] + split["baseline_kwh"]["value"] == pytest.approx(
        tag["it_energy_kwh"]["value"]
    )
    assert tag["attempts"][0]["split"] == split
    card = tag["components"][0]["split"]
    assert card["charged_ratio"]["value"] == pytest.approx(0.5)
    assert card["baseline_kwh"]["value"] == pytest.approx(3_000 / J_PER_KWH)


def test_without_a_baseline_the_split_is_unknown_with_its_note() -> None:
    component = replace(b.TWIN, baseline_note="the node was never idle")
    attempt = replace(
        b.attempt(components=[b.GPU, component]),
        measurements=(
            shared(b.GPU, 30_000.0, 30_000.0, 3_000.0),
            shared(component, 28_000.0, 28_000.0, None),
        ),
    )
    split = tag_of(attempt)["split"]
    assert split["gross_kwh"]["value"] == pytest.approx(58_000 / J_PER_KWH)
    assert split["baseline_kwh"]["reason"] == (
        "gpu:GPU-2: no idle baseline is known (the node was never idle)"
    )
    assert split["dynamic_kwh"]["value"] is None


HOST = Component("rapl:0", "cpu", "package 0", "counter", 0.0, reserved_ratio=0.5)


def beside_others(charged_j: float, baseline_j: float | None) -> dict[str, Any]:
    measured = shared(HOST, charged_j, 1_000.0, baseline_j)
    attempt = b.attempt(components=[])
    return tag_of(replace(attempt, components=(HOST,), measurements=(measured,)))


def test_an_unknown_idle_power_widens_the_charge_of_a_shared_device() -> None:
    """By activity 10%, by reservation 50%: the middle, and the interval holds both ends."""
    tag = beside_others(300.0, None)
    energy = tag["it_energy_kwh"]
    assert energy["low"] == pytest.approx(100 / J_PER_KWH)
    assert energy["high"] == pytest.approx(500 / J_PER_KWH)
    ratio = tag["split"]["charged_ratio"]
    assert [ratio[key] for key in ("low", "value", "high")] == pytest.approx([0.1, 0.3, 0.5])
    [cause] = tag["uncertainty"]["it_energy"]
    assert cause["term"] == "division of shared devices, their idle power being unknown"
    assert cause["relative_std_ratio"] == pytest.approx(400 / math.sqrt(12) / 300)
    assert "idle_power_unknown" in tag["flags"]
    gross = tag["split"]["gross_kwh"]
    assert gross["low"] == gross["high"] == pytest.approx(1_000 / J_PER_KWH)
    assert tag["split"]["dynamic_kwh"]["value"] is None
    carbon = tag["co2e_kg"]
    assert carbon["low"] < carbon["value"] / 3
    assert carbon["high"] > carbon["value"] * 5 / 3


@pytest.mark.parametrize(("charged_j", "baseline_j"), [(300.0, 100.0), (500.0, None)])
def test_there_is_no_flag_if_idle_power_is_known_or_makes_no_difference(
    charged_j: float, baseline_j: float | None
) -> None:
    tag = beside_others(charged_j, baseline_j)
    energy = tag["it_energy_kwh"]
    assert energy["low"] == energy["high"] == pytest.approx(charged_j / J_PER_KWH)
    assert "idle_power_unknown" not in tag["flags"]


def test_a_job_beside_one_that_reserved_everything_is_flagged() -> None:
    none = replace(HOST, reserved_ratio=0.0)
    measured = shared(none, 0.0, 1_000.0, 0.0)
    attempt = replace(b.attempt(components=[]), components=(none,), measurements=(measured,))
    tag = tag_of(attempt)
    assert tag["it_energy_kwh"]["value"] == 0.0
    assert "nothing_reserved" in tag["flags"]
    assert "nothing_reserved" in tag["components"][0]["flags"]


def test_attempts_with_different_reserved_parts_have_separate_rows() -> None:
    whole = replace(HOST, reserved_ratio=1.0)
    attempts = [
        replace(
            b.attempt(number, components=[]),
            components=(part,),
            measurements=(shared(part, 300.0, 1_000.0, 100.0),),
        )
        for number, part in ((1, HOST), (2, whole))
    ]
    rows = tag_of(*attempts)["components"]
    assert [(row["id"], row["reserved_ratio"]) for row in rows] == [
        ("rapl:0", 0.5),
        ("rapl:0", 1.0),
    ]
