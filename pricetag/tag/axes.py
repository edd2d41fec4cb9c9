"""The axis of the frontier against quality: a cost of the run, or a figure of its last model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pricetag.tag.figure import Figure
from pricetag.tag.ratios import figure_of
from pricetag.tag.variants import LATENCY_P50, SIZE, Names, variants
from pricetag.tag.view import TagView

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

_MEASURED: Mapping[ModelAxis, Names] = {"latency_p50_s": LATENCY_P50, "model_bytes": SIZE}
NOT_MEASURED = "no measure stage of the run reported it"
NO_INTERVAL = "a single measurement, without interval"


def figure_on(tag: TagView, axis: Axis) -> Figure:
    """A run's figure on an axis.

    The latency is the median of one example (batch size 1), in s; latency and size are of the last
    model that the run measured, as its score is.

    Args:
        tag: The run's price tag.
        axis: The axis.
    """
    if axis == "flops_dense":
        return Figure.of(tag.document.flops.dense)
    if axis == "latency_p50_s" or axis == "model_bytes":
        return _measured(tag, axis)
    return Figure.of(figure_of(tag, axis))


def _measured(tag: TagView, axis: ModelAxis) -> Figure:
    stages = {stage.key for stage in tag.document.stages if stage.parent is None}
    for variant in reversed(variants(tag.document)):
        metric = variant.metric(_MEASURED[axis])
        if variant.stage not in stages or metric is None or metric.value is None:
            continue
        value = float(metric.value)
        if axis == "model_bytes":
            return Figure.exact(value, UNITS[axis], "counter")
        return Figure(value, None, None, UNITS[axis], "counter", NO_INTERVAL)
    return Figure.unknown(NOT_MEASURED, UNITS[axis])
