"""Small inputs of price tags, for tests to vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Factor,
    Factors,
    FlopsCount,
    Measurement,
    PriceTagInputs,
    QualityInput,
    StageInput,
)
from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.ledger import Reading, WindowEnergy, window_energy

GPU = Component("gpu:GPU-1", "gpu", "NVIDIA A100", "counter", 0.05, 400.0)
TWIN = replace(GPU, id="gpu:GPU-2")
CPU = Component("cpu", "cpu", "host model", "modelled", 0.45)
RAM = Component("ram", "ram", "DIMM heuristic", "modelled", 1.0)

PUE = Factor(1.5, "1", 0.10, "assumed", "Uptime Institute 2025", 2025, "industry mean")
GRID = Factor(
    56.0, "g/kWh", 0.07, "estimated", "Ember", 2023, "lifecycle", zone="FRA", licence="CC BY 4.0"
)
FACTORS = Factors(PUE, GRID)


def window(
    energy_j: float, start_s: float, end_s: float, source: Source = "counter"
) -> WindowEnergy:
    """A fully metered window."""
    return WindowEnergy(start_s, end_s, energy_j, {source: energy_j}, end_s - start_s)


def dark(start_s: float, end_s: float, reason: str = "the component was lost") -> WindowEnergy:
    """A window in which nothing was metered."""
    return WindowEnergy(start_s, end_s, None, {}, 0.0, ("lost", "not_covered"), reason)


def steady(component: Component, power_w: float, start_s: float, end_s: float) -> Measurement:
    """A component at constant power, through the booking of real readings."""
    readings = [Reading(float(t), power_w * t, power_w * t, power_w) for t in range(int(end_s) + 2)]
    window = window_energy(readings, start_s=start_s, end_s=end_s, method=component.method)
    return Measurement(component.id, window)


POWERS = {GPU.id: 300.0, TWIN.id: 280.0, CPU.id: 60.0, RAM.id: 20.0}


def stage(
    key: str,
    start_s: float,
    end_s: float,
    components: Sequence[Component],
    *,
    kind: str = "train",
    parent: str | None = None,
    flops: FlopsCount | None = None,
    quality: Sequence[QualityInput] = (),
    status: str = "succeeded",
) -> StageInput:
    """A stage with every component at its constant power."""
    return StageInput(
        key=key,
        index=int(start_s),
        parent_key=parent,
        kind=kind,
        name=kind,
        status=status,
        start_s=start_s,
        end_s=end_s,
        measurements=tuple(steady(c, POWERS[c.id], start_s, end_s) for c in components),
        flops=flops,
        quality=tuple(quality),
    )


def attempt(
    number: int = 1,
    duration_s: float = 100.0,
    components: Sequence[Component] = (GPU, CPU, RAM),
    stages: Sequence[StageInput] = (),
    status: str = "succeeded",
) -> AttemptInput:
    """An attempt with every component at its constant power."""
    return AttemptInput(
        number=number,
        status=status,
        reason=None if status == "succeeded" else {"code": status, "message": "it ended"},
        started_at=f"2025-01-0{number}T00:00:00+00:00",
        duration_s=duration_s,
        components=tuple(components),
        measurements=tuple(steady(c, POWERS[c.id], 0, duration_s) for c in components),
        stages=tuple(stages),
        node_name="node-a",
    )


def inputs(*attempts: AttemptInput, factors: Factors = FACTORS) -> PriceTagInputs:
    """The inputs of a run with these attempts."""
    return PriceTagInputs("run-1", "a run", 1, attempts, factors, "1")
