"""Ratios of groups of runs: what cancels, and why something does not."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import AttemptInput, Factor, Factors
from pricetag.accounting.document.build import build_price_tag
from pricetag.tag.ratios import ENDS, REPEATS, compare
from pricetag.tag.view import TagView
from tests.unit.accounting import builders as b


def tag(seconds: float, *, factors: Factors = b.FACTORS, **changes: Any) -> TagView:
    attempt: AttemptInput = replace(b.attempt(1, seconds, components=[b.GPU]), **changes)
    return TagView(build_price_tag(b.inputs(attempt, factors=factors)))


SLOW = [tag(seconds) for seconds in (198.0, 200.0, 202.0)]
FAST = [tag(seconds) for seconds in (99.0, 100.0, 101.0)]


def test_on_one_card_at_one_site_only_the_spread_remains() -> None:
    for metric in ("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "duration_s"):
        comparison = compare(SLOW, FAST, metric)
        assert comparison["cancels"] is True
        assert comparison["method"] == REPEATS
        assert comparison["ratio"]["value"] == pytest.approx(2.0, rel=1e-3)
        # 1% scatter of three repeats a side; the full errors of the figures are over 20%.
        assert comparison["ratio"]["low"] == pytest.approx(2.0 * 0.977, rel=2e-3)
        assert comparison["ratio"]["high"] == pytest.approx(2.0 * 1.023, rel=2e-3)
    assert [run["value"] for run in comparison["a"]["runs"]] == [198.0, 200.0, 202.0]
    assert (comparison["a"]["mean"], comparison["b"]["mean"]) == (200.0, 100.0)


def test_a_mean_has_the_errors_that_its_runs_share_and_the_spread_between_them() -> None:
    side = compare(SLOW, FAST, "it_energy_kwh")["a"]
    energies = [one.document.energy.it_energy_kwh for one in SLOW]
    assert (side["count"], side["unit"]) == (3, "kWh")
    assert side["mean_figure"]["value"] == side["mean"]
    assert side["mean_figure"]["low"] == pytest.approx(fmean(each.low or 0.0 for each in energies))
    assert side["mean_figure"]["high"] == pytest.approx(
        fmean(each.high or 0.0 for each in energies)
    )
    assert side["std"] == pytest.approx(stdev(each.value or 0.0 for each in energies))
    assert compare(SLOW[:1], FAST, "it_energy_kwh")["a"]["std"] is None


def test_a_single_run_gives_a_ratio_without_interval() -> None:
    ratio = compare(SLOW[:1], FAST, "it_energy_kwh")["ratio"]
    assert ratio["value"] == pytest.approx(1.98, rel=1e-2)
    assert ratio["low"] is ratio["high"] is None
    assert "repeats" in ratio["reason"]


def test_another_card_has_another_gain() -> None:
    twin = b.attempt(1, 100.0, components=[b.TWIN])
    other = TagView(build_price_tag(b.inputs(twin)))
    comparison = compare(SLOW, [other, other], "it_energy_kwh")
    assert comparison["cancels"] is False
    assert comparison["method"] == ENDS
    assert comparison["reasons"][0].startswith("the cards differ: gpu:GPU-1 (counter); gpu:GPU-2")
    gain = 1.96 * 0.05
    assert comparison["ratio"]["high"] == pytest.approx(
        (1 + gain) / (1 - gain) * 2 * 300 / 280, rel=0.01
    )


@pytest.mark.parametrize(
    ("factors", "metric", "reason"),
    [
        (replace(b.FACTORS, site="hall-2"), "it_energy_kwh", "the sites differ"),
        (replace(b.FACTORS, pue=replace(b.PUE, value=1.2)), "co2e_kg", "the pue differ"),
        (
            replace(b.FACTORS, carbon_intensity=replace(b.GRID, value=57.0)),
            "co2e_kg",
            "the carbon intensity differ",
        ),
        (
            replace(b.FACTORS, calibrations={b.GPU.id: Factor(1.1, "1", 0.01, "counter", "x")}),
            "it_energy_kwh",
            "the cards differ",
        ),
    ],
)
def test_other_factors_do_not_cancel(factors: Factors, metric: Any, reason: str) -> None:
    comparison = compare(SLOW, [tag(100.0, factors=factors)] * 2, metric)
    assert comparison["reasons"][0].startswith(reason)


def test_carbon_intensity_does_not_matter_to_energy() -> None:
    factors = replace(b.FACTORS, carbon_intensity=replace(b.GRID, value=57.0))
    assert compare(SLOW, [tag(100.0, factors=factors)] * 2, "it_energy_kwh")["cancels"] is True


def test_processors_are_distinguished_by_their_node() -> None:
    def on(node: str) -> TagView:
        attempt = replace(b.attempt(1, 100.0, components=[b.CPU]), node_name=node)
        return TagView(build_price_tag(b.inputs(attempt)))

    assert compare([on("a")] * 2, [on("a")] * 2, "it_energy_kwh")["cancels"] is True
    comparison = compare([on("a")] * 2, [on("b")] * 2, "it_energy_kwh")
    assert "cpu@a (modelled); cpu@b (modelled)" in comparison["reasons"][0]
    assert compare([on("a")] * 2, [on("b")] * 2, "duration_s")["cancels"] is True


def shared(idle_j: float | None, reserved_ratio: float = 0.5) -> TagView:
    """Half of a device that others used as well, with or without its idle energy."""
    half = replace(b.GPU, reserved_ratio=reserved_ratio)
    whole = b.attempt(1, 100.0, components=[half])
    [measured] = whole.measurements
    assert measured.window.energy_j is not None
    device_j = 4 * measured.window.energy_j
    window = replace(measured.window, device_energy_j=device_j, baseline_j=idle_j)
    return tag(100.0, components=(half,), measurements=(replace(measured, window=window),))


def test_other_rules_of_the_charge_do_not_cancel() -> None:
    with_idle_power, without_idle_power = shared(60.0), shared(None)
    flags = [
        ("idle_power_unknown" in made.document.flags)
        for made in (with_idle_power, without_idle_power)
    ]
    assert flags == [False, True]
    comparison = compare([with_idle_power] * 2, [without_idle_power] * 2, "it_energy_kwh")
    assert (comparison["cancels"], comparison["method"]) == (False, ENDS)
    (reason,) = comparison["reasons"]
    assert reason.startswith("the charging rules differ: idle power known; idle power unknown")
    for both in (with_idle_power, without_idle_power):
        assert compare([both] * 2, [both] * 2, "it_energy_kwh")["reasons"] == []
    assert compare([with_idle_power] * 2, [without_idle_power] * 2, "duration_s")["cancels"] is True


def test_runs_with_other_reserved_parts_do_not_cancel() -> None:
    """Idle energy goes by what was reserved: alone on a machine the same work is charged more."""
    half, quarter = shared(60.0), shared(60.0, reserved_ratio=0.25)
    assert [made.document.energy.components[0].reserved_ratio for made in (half, quarter)] == [
        0.5,
        0.25,
    ]
    comparison = compare([half] * 2, [quarter] * 2, "it_energy_kwh")
    assert comparison["cancels"] is False
    [reason] = comparison["reasons"]
    assert reason.startswith("the reserved shares differ: gpu 0.5; gpu 0.25")


def test_an_unknown_figure_has_no_ratio() -> None:
    ratio = compare(SLOW, [tag(100.0, factors=Factors(b.PUE, None))], "co2e_kg")["ratio"]
    assert ratio["value"] is None
    assert ratio["reason"] == "a run: no grid zone is configured"


def test_comparisons_note_what_a_reader_should_know_about_a_run() -> None:
    first = b.attempt(1, 50.0, components=[b.GPU], status="lost")
    twice = TagView(build_price_tag(b.inputs(first, b.attempt(2, 100.0, components=[b.GPU]))))
    comparison = compare(SLOW, [twice, twice], "it_energy_kwh")
    assert comparison["notes"][0] == "a run: includes all 2 attempts"


def test_a_run_that_did_not_succeed_is_noted() -> None:
    attempt = b.attempt(1, 100.0, components=[b.GPU], status="failed")
    failed = TagView(build_price_tag(b.inputs(attempt)))
    notes = compare(SLOW, [failed, failed], "it_energy_kwh")["notes"]
    assert notes == ["a run: failed; its work may not be complete"] * 2
