"""The figure of a run on an axis: a cost of the run, or a figure of its last model."""

from __future__ import annotations

from collections.abc import Mapping

from pricetag.tag.axes import UNITS, Axis, ModelAxis
from pricetag.tag.figure import Figure
from pricetag.tag.ratios import figure_of
from pricetag.tag.variants import LATENCY_P50, SIZE, Names, variants
from pricetag.tag.view import TagView

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
