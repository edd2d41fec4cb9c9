"""Axes of the frontier against quality: costs of a run, and figures of its last model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

ModelAxis = Literal["latency_p50_s", "model_bytes"]
Axis = Literal[
    "it_energy_kwh",
    "facility_energy_kwh",
    "co2e_kg",
    "cost",
    "duration_s",
    "flops_dense",
    "latency_p50_s",
    "model_bytes",
]
Spending = Literal[
    "it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost", "duration_s", "flops_dense"
]
"""Costs that runs spend, which add up over runs."""

SPENDING: tuple[Spending, ...] = get_args(Spending)
MODEL_AXES: tuple[ModelAxis, ...] = get_args(ModelAxis)
"""Figures of a model, which no run spends: they do not add up over runs."""

UNITS: Mapping[Axis, str] = {
    "it_energy_kwh": "kWh",
    "facility_energy_kwh": "kWh",
    "co2e_kg": "kg",
    "duration_s": "s",
    "cost": "money",
    "flops_dense": "FLOP",
    "latency_p50_s": "s",
    "model_bytes": "bytes",
}
"""Unit of each axis; that of a cost is its currency."""
