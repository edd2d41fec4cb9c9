"""Price tags for tests, made by the real arithmetic from invented measurements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Device,
    EmbodiedFactor,
    Environment,
    Factor,
    Factors,
    FlopsCount,
    HourlyFactor,
    Measurement,
    PriceTagInputs,
    QualityInput,
    SecondOpinion,
    StageInput,
)
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.window import WindowEnergy

GPU = Component("gpu:GPU-1", "gpu", "NVIDIA H100 80GB HBM3", "counter", 0.05, 700.0)
CPU = Component("cpu", "cpu", "AMD EPYC 9554", "modelled", 0.45)
RAM = Component("ram", "ram", "128 GB", "modelled", 1.0)
FACTORS = Factors(
    pue=Factor(1.2, "1", 0.03, "estimated", "Site meter, annual mean", 2025),
    carbon_intensity=Factor(
        381.0,
        "g/kWh",
        0.07,
        "estimated",
        "Ember, Yearly electricity data",
        2024,
        "lifecycle, production, location-based, annual",
        "DE",
        "CC BY 4.0",
    ),
    cloud_price_low=Factor(2.0, "USD/h", 0.0, "assumed", "Example price book", 2026),
    cloud_price_high=Factor(4.0, "USD/h", 0.0, "assumed", "Example price book", 2026),
    electricity_tariff=Factor(0.30, "USD/kWh", 0.0, "estimated", "Site contract", 2026),
    currency="USD",
)
ELECTRICITY_ALONE = replace(FACTORS, cloud_price_low=None, cloud_price_high=None)
"""Factors of a site with a tariff, but without prices of its hardware."""


def window(start_s: float, end_s: float, power_w: float, source: str = "counter") -> WindowEnergy:
    """A window over which a component drew a constant power."""
    energy_j = power_w * (end_s - start_s)
    return WindowEnergy(
        start_s=start_s,
        end_s=end_s,
        energy_j=energy_j,
        energy_by_source_j={source: energy_j},  # type: ignore[dict-item]
        covered_s=end_s - start_s,
        flags=(),
        reason=None,
    )


def measured(start_s: float, end_s: float, gpu: bool = True) -> tuple[Measurement, ...]:
    """300 W on the accelerator, 60 W and 10 W on the host."""
    host = (
        Measurement("cpu", window(start_s, end_s, 60.0, "modelled")),
        Measurement("ram", window(start_s, end_s, 10.0, "modelled")),
    )
    return (Measurement(GPU.id, window(start_s, end_s, 300.0)), *host) if gpu else host


def stage(
    index: int, kind: str, start_s: float, end_s: float, *, gpu: bool = True, **more: Any
) -> StageInput:
    """A stage that succeeded."""
    fields = {
        "name": f"{kind} stage",
        "status": "succeeded",
        "measurements": measured(start_s, end_s, gpu),
        **more,
    }
    return StageInput(
        key=f"{index}-{kind}",
        index=index,
        parent_key=None,
        kind=kind,
        start_s=start_s,
        end_s=end_s,
        **fields,
    )


def attempt(
    number: int, status: str, stages: tuple[StageInput, ...], duration_s: float, gpu: bool = True
) -> AttemptInput:
    """One attempt with everything on it."""
    return AttemptInput(
        number=number,
        status=status,
        reason=None
        if status == "succeeded"
        else {"code": "lost", "message": "the worker vanished"},
        started_at=f"2026-03-01T{11 + number:02}:00:00+00:00",
        duration_s=duration_s,
        components=(GPU, CPU, RAM) if gpu else (CPU, RAM),
        measurements=measured(0.0, duration_s, gpu),
        stages=stages,
        second_opinion=SecondOpinion("codecarbon", "3.3.2", 0.002, 0.010, 0.0005, 0.0125),
        devices=(Device(GPU.name, "GPU-1"),) if gpu else (),
        node_name="node-7",
        environment=Environment(
            packages={"torch": "2.13.0", "transformers": "5.23.0"},
            seeds={"seed": 0},
            python="3.11.9",
            platform="Linux",
            git_commit="0123456789abcdef0123456789abcdef01234567",
        ),
    )


def compressed_run(name: str = "MiniLM fine-tuned, then int8") -> PriceTagInputs:
    """A run whose worker vanished once: trained, quantized, measured before and after."""
    flops = FlopsCount(6e14, 6e14, None, "closed_form")
    cut_off = stage(0, "train", 5, 40, status="failed", flops=flops)
    stages = (
        stage(0, "train", 5, 65, flops=flops),
        stage(1, "measure", 65, 80, quality=_measured(90_852_864, 0.0031, 0.861)),
        _inference(2, "1-measure", 66, 76, 40_000),
        stage(3, "quantize", 80, 81),
        stage(4, "measure", 81, 96, quality=_measured(23_068_672, 0.0012, 0.858)),
        _inference(5, "4-measure", 82, 92, 100_000),
    )
    lost = attempt(1, "lost", (cut_off,), 40.0)
    return PriceTagInputs(
        run_id="6f0c0d0e-0000-4000-8000-000000000001",
        name=name,
        version=1,
        attempts=(lost, attempt(2, "succeeded", stages, 100.0)),
        factors=FACTORS,
        accounting_version="1",
    )


def _measured(size: int, latency_s: float, accuracy: float) -> tuple[QualityInput, ...]:
    return (
        QualityInput("parameters", 22_713_216, None),
        QualityInput("model_bytes", size, None, "bytes"),
        QualityInput("latency_p50_batch_1_s", latency_s, None, "s"),
        QualityInput("throughput_per_s", 8 / latency_s, None, "1/s"),
        QualityInput("accuracy", accuracy, "validation"),
    )


def _inference(index: int, parent_key: str, start_s: float, end_s: float, count: int) -> StageInput:
    """Repeated inference inside a measure stage."""
    inner = stage(
        index,
        "inference",
        start_s,
        end_s,
        name="Repeated inference",
        quality=(QualityInput("inferences", count, None),),
    )
    return replace(inner, parent_key=parent_key)


def owned_run(name: str = "on our own card") -> PriceTagInputs:
    """A run on a shared card of the lab's own, of which every factor is known."""
    flops = FlopsCount(6e15, 3e15, None, "FlopCounterMode on meta tensors", ("aten::_softmax",))
    trained = stage(0, "train", 5, 65, flops=flops)
    whole = attempt(1, "succeeded", (trained,), 100.0)
    shared = tuple(
        replace(part, window=replace(part.window, device_energy_j=2 * (part.window.energy_j or 0)))
        for part in whole.measurements
    )
    idle = tuple(
        replace(part, window=replace(part.window, baseline_j=(part.window.energy_j or 0) / 4))
        for part in shared
    )
    hour = "2026-03-01T12:00:00+00:00"
    measured_ = tuple(
        replace(part, energy_by_hour_j={hour: part.window.energy_j or 0.0}) for part in idle
    )
    grid = FACTORS.carbon_intensity
    assert grid is not None
    factors = replace(
        FACTORS,
        carbon_hours=HourlyFactor(replace(grid, citation="Grid operator"), {hour: 300.0}),
        carbon_market=replace(grid, value=20.0, basis="market-based"),
        internal_price=Factor(1.5, "USD/h", 0.1, "estimated", "Price over useful hours", 2026),
        wue=Factor(1.8, "l/kWh", 0.1, "estimated", "Site meter", 2025),
        water_intensity=Factor(3.0, "l/kWh", 0.2, "estimated", "Grid mean", 2024),
        embodied=(
            EmbodiedFactor(
                GPU.name,
                Factor(164.0, "kg/card", 0.5, "estimated", "Vendor", 2025, multiplicative=True),
                52_560.0,
                0.85,
            ),
        ),
        calibrations={GPU.id: Factor(1.02, "1", 0.01, "integrated", "Wall meter", 2026)},
        peaks={GPU.name: Factor(989e12, "FLOP/s", 0.0, "estimated", "Data sheet", 2022)},
        site="hall-1",
    )
    return PriceTagInputs(
        run_id="6f0c0d0e-0000-4000-8000-000000000004",
        name=name,
        version=1,
        attempts=(replace(whole, measurements=measured_),),
        factors=factors,
        accounting_version="2",
    )


def nested_run(name: str = "a script") -> PriceTagInputs:
    """A command whose script has stages in stages."""
    command = stage(0, "command", 0, 90, name="train.py")
    epoch = replace(stage(1, "stage", 1, 80, name="epoch"), key="0.0", parent_key="0-command")
    passes = replace(stage(2, "stage", 2, 40, name="forward"), key="0.0.0", parent_key="0.0")
    last = replace(stage(3, "stage", 81, 89, name="save"), key="0.1", parent_key="0-command")
    whole = attempt(1, "succeeded", (command, epoch, passes, last), 100.0)
    return replace(compressed_run(name), run_id="5", attempts=(whole,))


def failed_run(name: str = "failed early") -> PriceTagInputs:
    """A run on a processor that failed, with no carbon intensity and no prices."""
    return PriceTagInputs(
        run_id="6f0c0d0e-0000-4000-8000-000000000002",
        name=name,
        version=1,
        attempts=(attempt(1, "failed", (stage(0, "train", 1, 9, gpu=False),), 10.0, gpu=False),),
        factors=Factors(pue=FACTORS.pue, carbon_intensity=None),
        accounting_version="1",
    )


def unmetered_run(name: str = "nothing metered") -> PriceTagInputs:
    """A run on which no meter worked."""
    bare = AttemptInput(1, "cancelled", None, "2026-03-01T12:00:00+00:00", 3.0, (), ())
    return replace(failed_run(name), run_id="3", attempts=(bare,))


def tag(inputs: PriceTagInputs) -> dict[str, Any]:
    """The stored form."""
    return build_price_tag(inputs).as_dict()
