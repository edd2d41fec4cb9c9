"""Figures of a model's size, operations and speed, on the price tag."""

from __future__ import annotations

import math

import torch

from pricetag.recipes.methods.measure import Measure
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.cost import benchmark
from workers.training.cost.in_use import Use, UseOnTexts
from workers.training.evaluate import evaluate, report_quality
from workers.training.finetune import loaded_profile
from workers.training.formats import registry
from workers.training.formats.exits import exits_of
from workers.training.formats.profile import ModelProfile
from workers.training.metrics import Metrics
from workers.training.model.loaded import Loaded
from workers.training.model.models import describe_size, needed

Figures = dict[str, tuple[float, str | None]]
"""Value and unit by name; NaN for an unknown value."""


def measure_cost(context: StageContext, loaded: Loaded, params: Measure) -> dict[str, float]:
    """Report the size and the cost of use of a model; returns the known figures.

    The repeated inference is its own stage (``inference``) with its own energy, at
    ``batch_size`` and ``sequence_length``.

    Raises:
        Interrupted: A stop was requested.
    """
    profile = loaded_profile(context, loaded)
    device = loaded.device(context.job.device)
    if device.type != context.job.device:
        context.reporter.log("8-bit weights are computed on the CPU, the GPU is idle")
    if (note := profile.speed_note()) is not None:
        context.reporter.log(note)
    for reason in registry.speed_notes(registry.describe(loaded.model), device.type):
        context.reporter.log(reason)
    length = loaded.token_limit(params.sequence_length)
    facts: dict[str, float] = {"sequence_length": length, "batch_size": params.batch_size}
    facts |= _report(context, _size(context, profile))
    use = _use(context, loaded, params, length)
    facts |= _speed(context, use, profile, params)
    if params.thresholds is not None:
        measure_thresholds(context, use, profile, params)
    peak_bytes = benchmark.peak_memory_bytes(device)
    context.reporter.metric("peak_memory_bytes", peak_bytes, "bytes", quality=True)
    return facts


def _size(context: StageContext, profile: ModelProfile) -> Figures:
    weights = profile.weights
    figures: Figures = {
        "parameters": (weights.parameters, None),
        "non_zero_parameters": (weights.non_zero, None),
        "encoder_sparsity": (profile.sparsity, None),
        "dense_bytes": (weights.dense_bytes, "bytes"),
        "packed_bytes": (weights.packed_bytes, "bytes"),
    }
    folder = needed(context).folder
    if folder is not None:
        figures["model_bytes"] = (describe_size(folder), "bytes")
    return figures


def _operations(profile: ModelProfile, length: int) -> Figures:
    """Operations of one example of ``length`` tokens."""
    return {
        "flops_per_example": (profile.flops_per_sequence(length), "flop"),
        "effective_flops_per_example": (profile.effective_flops_per_sequence(length), "flop"),
        "low_bit_ops_per_example": (profile.low_bit_ops_per_sequence(length), "op"),
    }


def _use(context: StageContext, loaded: Loaded, params: Measure, length: int) -> Use:
    """The inputs on which the model is measured: texts, if they determine the exit.

    Raises:
        JobError: ``no-exits`` for thresholds of a model without exits.
    """
    device = loaded.device(context.job.device)
    exits = exits_of(loaded.model)
    if exits is None and params.thresholds is not None:
        raise JobError(
            "no-exits",
            "the model has no early exits; remove the thresholds, or train it with "
            "method: early_exit",
            f"{context.field}.thresholds",
        )
    if exits is None or (exits.threshold is None and params.thresholds is None):
        return Use(loaded, length, device)
    return UseOnTexts(context, loaded, params.split, length, device)


def _speed(
    context: StageContext, use: Use, profile: ModelProfile, params: Measure
) -> dict[str, float]:
    """Latency, then the repeated inference with its operations and its throughput."""
    figures: Figures = {}
    for batch_size in sorted({1, params.batch_size}):
        timed = benchmark.latency(use.call(batch_size))
        figures[f"latency_p50_batch_{batch_size}_s"] = (timed.p50_s, "s")
        figures[f"latency_p95_batch_{batch_size}_s"] = (timed.p95_s, "s")
        if batch_size == 1:
            figures |= _conditions(timed.calls, use.length, use.device)
        context.stop_if_asked()
    with context.reporter.stage("inference", "Repeated inference", context.index):
        inferences, seconds = _metered(context, use, profile, params.batch_size, params.min_seconds)
    figures |= _operations(use.profile(profile), use.length) | _exits(use)
    figures["throughput_per_s"] = (inferences / seconds, "1/s")
    return {**_report(context, figures), "inferences": inferences}


def measure_thresholds(
    context: StageContext, use: Use, profile: ModelProfile, params: Measure
) -> None:
    """Report the cost of use of a model with exits at each threshold, and its quality.

    Each is its own stage, at batch 1 and at ``batch_size``: rows that left are not computed
    for the others of their batch. The model keeps its own threshold.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
        Interrupted: A stop was requested.
    """
    exits = exits_of(use.loaded.model)
    assert exits is not None
    own = exits.threshold
    for threshold in params.thresholds or ():
        exits.threshold = threshold
        quality: Metrics = {}
        if params.accuracy:
            options = {"batch_size": 64, "max_length": params.max_length}
            quality, _ = evaluate(context, use.loaded, params.split, **options)
        for batch_size in sorted({1, params.batch_size}):
            timed = benchmark.latency(use.call(batch_size))
            name = f"Inference at threshold {threshold:g}, batch {batch_size}"
            with context.reporter.stage("inference", name, context.index):
                inferences, seconds = _metered(
                    context, use, profile, batch_size, params.min_seconds
                )
                figures: Figures = {
                    "threshold": (threshold, None),
                    "batch_size": (batch_size, None),
                }
                figures[f"latency_p50_batch_{batch_size}_s"] = (timed.p50_s, "s")
                figures[f"latency_p95_batch_{batch_size}_s"] = (timed.p95_s, "s")
                figures |= _operations(use.profile(profile), use.length) | _exits(use)
                figures["throughput_per_s"] = (inferences / seconds, "1/s")
                _report(context, figures)
                report_quality(context, params.split, quality)
    exits.threshold = own


def _metered(
    context: StageContext, use: Use, profile: ModelProfile, batch_size: int, min_seconds: float
) -> tuple[int, float]:
    """The repeated inference of a stage: inferences and seconds; reports its operations."""
    inferences, seconds = benchmark.repeat(context, use.call(batch_size), batch_size, min_seconds)
    context.reporter.metric("inferences", inferences, quality=True)
    _report_operations(context, use.profile(profile), use.length, inferences)
    return inferences, seconds


def _exits(use: Use) -> Figures:
    """Share of the inferences that ended after each layer with an exit."""
    return {f"exit_share_layer_{layer}": (share, None) for layer, share in use.shares().items()}


def _conditions(calls: int, length: int, device: torch.device) -> Figures:
    """Conditions of the latency at batch size 1, shown below the tables of the variants."""
    return {
        "latency_calls_batch_1": (calls, None),
        "latency_tokens": (length, None),
        "latency_threads": (torch.get_num_threads(), None),
        "latency_on_accelerator": (float(device.type != "cpu"), None),
    }


def _report_operations(
    context: StageContext, profile: ModelProfile, length: int, inferences: int
) -> None:
    context.reporter.flops(
        dense=profile.flops_per_sequence(length) * inferences,
        effective=profile.effective_flops_per_sequence(length) * inferences,
        low_bit=profile.low_bit_ops_per_sequence(length) * inferences,
        method=profile.flops.method,
        uncounted=list(profile.flops.uncounted),
    )


def _report(context: StageContext, figures: Figures) -> dict[str, float]:
    for name, (value, unit) in figures.items():
        reason = None if math.isfinite(value) else "the model's operations cannot be counted"
        known_value = value if reason is None else None
        context.reporter.metric(name, known_value, unit, quality=True, reason=reason)
    return {name: value for name, (value, _) in figures.items() if math.isfinite(value)}
