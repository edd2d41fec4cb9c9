"""Why the second opinion differs, by component."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import AttemptInput, Measurement, SecondOpinion
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.readings.component import Component
from pricetag.accounting.units import J_PER_KWH
from tests.unit.accounting import builders as b

GPU_KWH, CPU_KWH, RAM_KWH = (watts * 100 / J_PER_KWH for watts in (300, 60, 20))


def opinion_of(attempt: AttemptInput) -> dict[str, Any]:
    opinion = build_price_tag(b.inputs(attempt)).as_dict()["second_opinion"]
    assert isinstance(opinion, dict)
    return opinion


def told(**figures: Any) -> SecondOpinion:
    parts: dict[str, Any] = {
        "cpu_kwh": CPU_KWH,
        "gpu_kwh": GPU_KWH,
        "ram_kwh": RAM_KWH,
        "duration_s": 100.0,
    }
    parts |= figures
    total = sum(parts[name] or 0.0 for name in ("cpu_kwh", "gpu_kwh", "ram_kwh"))
    return SecondOpinion("codecarbon", "3.3.2", energy_kwh=total, **parts)


def causes(attempt: AttemptInput) -> dict[str, dict[str, Any]]:
    return {item["cause"]: item for item in opinion_of(attempt)["explanation"]}


def test_agreement_needs_no_explanation() -> None:
    opinion = opinion_of(replace(b.attempt(), second_opinion=told()))
    assert opinion["explanation"] == []
    assert opinion["duration"] == {"theirs_s": 100.0, "ours_s": 100.0}


def test_a_gpu_without_a_figure_from_codecarbon_is_explained() -> None:
    attempt = replace(b.attempt(), second_opinion=told(gpu_kwh=None, reason="no nvidia-smi"))
    item = causes(attempt)["missing-there"]
    assert item["component"] == "gpu"
    assert item["difference_kwh"] == pytest.approx(-GPU_KWH)
    assert "no nvidia-smi" in item["text"]


def test_a_component_missing_on_our_side_is_explained() -> None:
    attempt = replace(b.attempt(components=[b.GPU, b.CPU]), second_opinion=told())
    item = causes(attempt)["missing-here"]
    assert (item["component"], item["difference_kwh"]) == ("ram", pytest.approx(RAM_KWH))
    assert "no component was metered" in item["text"]


def test_models_of_memory_and_load_are_explained() -> None:
    attempt = replace(b.attempt(), second_opinion=told(ram_kwh=2 * RAM_KWH, cpu_kwh=0.9 * CPU_KWH))
    listed_causes = causes(attempt)
    assert listed_causes["ram-model"]["difference_kwh"] == pytest.approx(RAM_KWH)
    assert listed_causes["same-model"]["difference_kwh"] == pytest.approx(-0.1 * CPU_KWH)


def test_a_counter_against_a_model_is_explained() -> None:
    dram = Component("rapl:dram", "ram", "DRAM", "counter", 0.15)
    attempt = replace(
        b.attempt(components=[]),
        components=(dram,),
        measurements=(Measurement(dram.id, b.window(2_000.0, 0, 100)),),
        second_opinion=told(cpu_kwh=None, gpu_kwh=None, ram_kwh=3 * RAM_KWH),
    )
    assert causes(attempt)["model-against-meter"]["difference_kwh"] == pytest.approx(2 * RAM_KWH)
    shifted = replace(b.attempt(), second_opinion=told(gpu_kwh=1.1 * GPU_KWH))
    assert causes(shifted)["meter-against-theirs"]["component"] == "gpu"


def test_another_duration_is_explained() -> None:
    ratio = 0.9
    opinion = told(
        cpu_kwh=ratio * CPU_KWH, gpu_kwh=ratio * GPU_KWH, ram_kwh=ratio * RAM_KWH, duration_s=90.0
    )
    item = causes(replace(b.attempt(), second_opinion=opinion))["duration"]
    assert item["component"] is None
    assert item["difference_kwh"] == pytest.approx(-0.1 * (GPU_KWH + CPU_KWH + RAM_KWH))
    assert item["text"] == "it looked for 90.0 s, the attempts took 100.0 s"


def test_a_share_of_the_machine_is_compared_with_the_whole() -> None:
    half = Measurement(
        b.CPU.id, replace(b.window(1_500.0, 0, 100, "modelled"), device_energy_j=6_000.0)
    )
    attempt = replace(
        b.attempt(components=[b.CPU]),
        measurements=(half,),
        second_opinion=told(gpu_kwh=None, ram_kwh=None),
    )
    opinion = opinion_of(attempt)
    assert opinion["total"]["difference_ratio"]["value"] == pytest.approx(3.0)
    assert opinion["total"]["ours_gross_kwh"]["value"] == pytest.approx(CPU_KWH)
    item = next(i for i in opinion["explanation"] if i["cause"] == "share-of-the-machine")
    assert item["difference_kwh"] == pytest.approx(0.75 * CPU_KWH)
    assert "25.0% of what the devices used" in item["text"]
    assert "+0.0% against that" in item["text"]


def test_a_multiplied_in_pue_is_explained() -> None:
    opinion = told(cpu_kwh=1.5 * CPU_KWH, gpu_kwh=1.5 * GPU_KWH, ram_kwh=1.5 * RAM_KWH)
    item = causes(replace(b.attempt(), second_opinion=opinion))["pue-applied"]
    assert item["difference_kwh"] == pytest.approx(0.5 * (GPU_KWH + CPU_KWH + RAM_KWH))


def shared(ratio: float, *, duration_s: float = 100.0) -> AttemptInput:
    """A part of every device of the machine is charged."""
    whole = b.attempt()
    measurements = tuple(
        Measurement(
            part.component_id,
            replace(
                part.window,
                energy_j=ratio * energy_j,
                energy_by_source_j={
                    source: ratio * j for source, j in part.window.energy_by_source_j.items()
                },
                device_energy_j=energy_j,
            ),
        )
        for part in whole.measurements
        if (energy_j := part.window.energy_j) is not None
    )
    return replace(whole, measurements=measurements, duration_s=duration_s)


def summed(opinion: dict[str, Any]) -> float:
    return float(sum(item["difference_kwh"] for item in opinion["explanation"]))


def difference_of(opinion: dict[str, Any]) -> float:
    total = opinion["total"]
    return float(total["theirs_kwh"]["value"] - total["ours_kwh"]["value"])


def test_components_are_compared_with_the_whole_machine_if_a_share_is_charged() -> None:
    opinion = opinion_of(replace(shared(0.4), second_opinion=told(cpu_kwh=1.1 * CPU_KWH)))
    assert [(i["cause"], i["component"]) for i in opinion["explanation"]] == [
        ("share-of-the-machine", None),
        ("same-model", "cpu"),
    ]
    share, cpu = opinion["explanation"]
    assert share["difference_kwh"] == pytest.approx(0.6 * (GPU_KWH + CPU_KWH + RAM_KWH))
    assert cpu["difference_kwh"] == pytest.approx(0.1 * CPU_KWH)
    assert cpu["text"].endswith("(+10.0% against what the whole machine used)")
    parts = {part["kind"]: part for part in opinion["components"]}
    assert parts["cpu"]["difference_ratio"]["value"] == pytest.approx(1.1 / 0.4 - 1)
    assert parts["cpu"]["gross_difference_ratio"]["value"] == pytest.approx(0.1)
    assert parts["ram"]["gross_difference_ratio"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert summed(opinion) == pytest.approx(difference_of(opinion))


@pytest.mark.parametrize("ratio", [1.0, 0.25])
@pytest.mark.parametrize(
    "figures",
    [
        {"cpu_kwh": 2.33 * CPU_KWH, "ram_kwh": 1.7 * RAM_KWH},
        {"gpu_kwh": None, "reason": "no nvidia-smi"},
        {"gpu_kwh": None, "ram_kwh": 3 * RAM_KWH, "duration_s": 70.0},
        {"gpu_kwh": 1.5 * GPU_KWH, "cpu_kwh": 1.5 * CPU_KWH, "ram_kwh": 1.5 * RAM_KWH},
        {"gpu_kwh": 1.2 * GPU_KWH, "cpu_kwh": 1.2 * CPU_KWH, "duration_s": 120.0},
        {"cpu_kwh": 1.009 * CPU_KWH, "ram_kwh": 2 * RAM_KWH},
        {"cpu_kwh": 0.0, "ram_kwh": None},
    ],
)
def test_the_causes_add_up_to_the_difference(ratio: float, figures: dict[str, Any]) -> None:
    opinion = opinion_of(replace(shared(ratio), second_opinion=told(**figures)))
    assert opinion["explanation"]
    assert summed(opinion) == pytest.approx(difference_of(opinion), rel=1e-9)


def test_the_remainder_of_small_differences_is_shown() -> None:
    opinion = told(cpu_kwh=1.009 * CPU_KWH, ram_kwh=2 * RAM_KWH)
    listed_causes = causes(replace(b.attempt(), second_opinion=opinion))
    assert listed_causes["ram-model"]["difference_kwh"] == pytest.approx(RAM_KWH)
    assert listed_causes["remainder"]["difference_kwh"] == pytest.approx(0.009 * CPU_KWH)
    assert listed_causes["remainder"]["component"] is None


def test_attempts_with_partial_second_opinions_are_kept_apart() -> None:
    first = replace(b.attempt(1), second_opinion=told(gpu_kwh=None, reason="no nvidia-smi"))
    second = replace(b.attempt(2), second_opinion=told(gpu_kwh=1.5 * GPU_KWH))
    tag = build_price_tag(b.inputs(first, second)).as_dict()
    opinion = tag["second_opinion"]
    gpu = {
        i["cause"]: i["difference_kwh"] for i in opinion["explanation"] if i["component"] == "gpu"
    }
    assert gpu == {
        "meter-against-theirs": pytest.approx(0.5 * GPU_KWH),
        "missing-there": pytest.approx(-GPU_KWH),
    }
    assert summed(opinion) == pytest.approx(difference_of(opinion))


def test_a_whole_host_meter_is_missing_in_the_second_opinion() -> None:
    host = Component("rapl:psys", "host", "platform", "counter", 0.15)
    attempt = replace(
        b.attempt(components=[]),
        components=(host,),
        measurements=(Measurement(host.id, b.window(9_000.0, 0, 100)),),
        second_opinion=told(gpu_kwh=None),
    )
    opinion = opinion_of(attempt)
    by_part = {(i["component"], i["cause"]): i["difference_kwh"] for i in opinion["explanation"]}
    assert by_part == {
        ("cpu", "missing-here"): pytest.approx(CPU_KWH),
        ("ram", "missing-here"): pytest.approx(RAM_KWH),
        ("host", "missing-there"): pytest.approx(-9_000.0 / J_PER_KWH),
    }
    assert summed(opinion) == pytest.approx(difference_of(opinion))


def test_our_figure_is_shown_if_the_second_opinion_failed() -> None:
    failed = SecondOpinion(
        "codecarbon", "3.3.2", None, None, None, None, "CodeCarbon failed: no ini file"
    )
    attempt = replace(b.attempt(), second_opinion=failed)
    inputs = replace(b.inputs(attempt), accounting_version="4")
    tag = build_price_tag(inputs).as_dict()
    opinion = tag["second_opinion"]
    assert opinion["total"]["ours_kwh"]["value"] == tag["it_energy_kwh"]["value"]
    assert opinion["total"]["theirs_kwh"]["value"] is None
    assert opinion["total"]["theirs_kwh"]["reason"] == "CodeCarbon failed: no ini file"
    assert opinion["total"]["difference_ratio"]["value"] is None
    ours_kwh = [part["ours_kwh"]["value"] for part in opinion["components"]]
    assert sum(filter(None, ours_kwh)) == pytest.approx(tag["it_energy_kwh"]["value"])


def test_price_tags_of_earlier_versions_stay_as_they_were() -> None:
    failed = SecondOpinion(
        "codecarbon", "3.3.2", None, None, None, None, "CodeCarbon failed: no ini file"
    )
    inputs = b.inputs(replace(b.attempt(), second_opinion=failed))
    tag = build_price_tag(replace(inputs, accounting_version="3")).as_dict()
    assert tag["second_opinion"]["total"]["ours_kwh"]["value"] is None
