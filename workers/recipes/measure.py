"""Measure size, speed, energy of use and quality of a model."""

from __future__ import annotations

import math

import torch

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.measure import Measure
from workers.job.context import StageContext, StageResult
from workers.training.cost import benchmark
from workers.training.evaluate import evaluate, report_quality
from workers.training.finetune import count_model, full_profile
from workers.training.formats.profile import ModelProfile
from workers.training.model.models import Loaded, describe_size, for_use, needed


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Report what the current model costs to keep and to use, and how good it is.

    The repeated inference is a stage of its own (``inference``) with its own energy, at
    ``batch_size`` and ``sequence_length``. Wh per 1,000 inferences is its energy over the
    metric ``inferences``.

    Raises:
        JobError: the model is untrained, or the split cannot be read.
        Interrupted: a stop was asked for.

    Source: Schwartz et al. 2020, Green AI, doi:10.1145/3381831; Strubell et al. 2019,
    doi:10.18653/v1/P19-1355.
    """
    assert isinstance(params, Measure)
    loaded = for_use(context)
    model = full_profile(context, loaded)
    device = loaded.device(context.job.device)
    if device.type != context.job.device:
        context.reporter.log("8-bit weights are computed on the CPU, the GPU is idle")
    length = loaded.token_limit(params.sequence_length)
    facts: dict[str, float] = {"sequence_length": length, "batch_size": params.batch_size}
    facts |= _size(context, model)
    facts |= _operations(context, model, length)
    facts |= _speed(context, loaded, model, params, length, device)
    context.reporter.metric(
        "peak_memory_bytes", benchmark.peak_memory_bytes(device), "bytes", quality=True
    )
    quality: dict[str, dict[str, float]] = {}
    if params.accuracy:
        metrics, _ = evaluate(
            context, loaded, params.split, batch_size=64, max_length=params.max_length
        )
        quality[params.split] = report_quality(context, params.split, metrics)
    return StageResult(facts={**facts, "quality": quality})


def _size(context: StageContext, model: ModelProfile) -> dict[str, float]:
    weights = model.weights
    note = model.speed_note()
    if note is not None:
        context.reporter.log(note)
    folder = needed(context).folder
    found: dict[str, tuple[float, str | None]] = {
        "parameters": (weights.parameters, None),
        "non_zero_parameters": (weights.non_zero, None),
        "encoder_sparsity": (model.sparsity, None),
        "dense_bytes": (weights.dense_bytes, "bytes"),
        "packed_bytes": (weights.packed_bytes, "bytes"),
    }
    if folder is not None:
        found["model_bytes"] = (describe_size(folder), "bytes")
    return _report(context, found)


def _operations(context: StageContext, model: ModelProfile, length: int) -> dict[str, float]:
    """FLOPs of one example at the stated length."""
    return _report(
        context,
        {
            "flops_per_example": (model.flops_per_sequence(length), "flop"),
            "effective_flops_per_example": (model.effective_flops_per_sequence(length), "flop"),
            "low_bit_ops_per_example": (model.low_bit_ops_per_sequence(length), "op"),
        },
    )


def _speed(
    context: StageContext,
    loaded: Loaded,
    model: ModelProfile,
    params: Measure,
    length: int,
    device: torch.device,
) -> dict[str, float]:
    found: dict[str, tuple[float, str | None]] = {}
    for batch_size in sorted({1, params.batch_size}):
        call = benchmark.inference_call(loaded, batch_size, length, device)
        timed = benchmark.latency(call)
        found[f"latency_p50_batch_{batch_size}_s"] = (timed.p50_s, "s")
        found[f"latency_p95_batch_{batch_size}_s"] = (timed.p95_s, "s")
        if batch_size == 1:
            found |= _conditions(timed.calls, length, device)
        context.stop_if_asked()
    call = benchmark.inference_call(loaded, params.batch_size, length, device)
    with context.reporter.stage("inference", "Repeated inference", context.index):
        inferences, seconds = benchmark.repeat(context, call, params.batch_size, params.min_seconds)
        context.reporter.metric("inferences", inferences, quality=True)
        _inference_flops(context, model, length, inferences)
    found["throughput_per_s"] = (inferences / seconds, "1/s")
    return {**_report(context, found), "inferences": inferences}


def _conditions(
    calls: int, length: int, device: torch.device
) -> dict[str, tuple[float, str | None]]:
    """What the latency at batch size 1 is of; shown below the tables of the variants."""
    return {
        "latency_calls_batch_1": (calls, None),
        "latency_tokens": (length, None),
        "latency_threads": (torch.get_num_threads(), None),
        "latency_on_accelerator": (float(device.type != "cpu"), None),
    }


def _inference_flops(
    context: StageContext, model: ModelProfile, length: int, inferences: int
) -> None:
    context.reporter.flops(
        dense=model.flops_per_sequence(length) * inferences,
        effective=model.effective_flops_per_sequence(length) * inferences,
        low_bit=model.low_bit_ops_per_sequence(length) * inferences,
        method=model.flops.method,
        uncounted=list(model.flops.uncounted),
    )


def _report(context: StageContext, found: dict[str, tuple[float, str | None]]) -> dict[str, float]:
    for name, (value, unit) in found.items():
        known = math.isfinite(value)
        context.reporter.metric(
            name,
            value if known else None,
            unit,
            quality=True,
            reason=None if known else "the model's operations cannot be counted",
        )
    return {name: value for name, (value, _) in found.items() if math.isfinite(value)}
