"""Figures of a model's size, operations and speed, on the price tag."""

from __future__ import annotations

import math

import torch

from pricetag.recipes.methods.measure import Measure
from workers.job.context import StageContext
from workers.training.cost import benchmark
from workers.training.finetune import loaded_profile
from workers.training.formats import registry
from workers.training.formats.profile import ModelProfile
from workers.training.model.loaded import Loaded
from workers.training.model.models import describe_size, needed

Figures = dict[str, tuple[float, str | None]]
"""By name a value and its unit; NaN where it is unknown."""


def measure_cost(context: StageContext, loaded: Loaded, params: Measure) -> dict[str, float]:
    """Report what a model costs to keep and to use; returns the figures that are known.

    The repeated inference is a stage of its own (``inference``) with its own energy, at
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
    facts |= _report(context, _operations(profile, length))
    facts |= _speed(context, loaded, profile, params, length)
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


def _speed(
    context: StageContext, loaded: Loaded, profile: ModelProfile, params: Measure, length: int
) -> dict[str, float]:
    """Latency, then the repeated inference with its operations and its throughput."""
    device = loaded.device(context.job.device)
    figures: Figures = {}
    for batch_size in sorted({1, params.batch_size}):
        call = benchmark.inference_call(loaded, batch_size, length, device)
        timed = benchmark.latency(call)
        figures[f"latency_p50_batch_{batch_size}_s"] = (timed.p50_s, "s")
        figures[f"latency_p95_batch_{batch_size}_s"] = (timed.p95_s, "s")
        if batch_size == 1:
            figures |= _conditions(timed.calls, length, device)
        context.stop_if_asked()
    call = benchmark.inference_call(loaded, params.batch_size, length, device)
    with context.reporter.stage("inference", "Repeated inference", context.index):
        inferences, seconds = benchmark.repeat(context, call, params.batch_size, params.min_seconds)
        context.reporter.metric("inferences", inferences, quality=True)
        _report_operations(context, profile, length, inferences)
    figures["throughput_per_s"] = (inferences / seconds, "1/s")
    return {**_report(context, figures), "inferences": inferences}


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
