"""Measure the quality of a model."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.evaluate import Evaluate
from workers.job.context import StageContext, StageResult
from workers.training.evaluate import evaluate, report_quality
from workers.training.finetune import count_model, full_profile
from workers.training.model.models import for_use


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Report the metrics of the run's task on each split.

    Raises:
        JobError: the model has no head for the task, or a split cannot be read.

    Source: Wang et al. 2018, GLUE, table 1, doi:10.18653/v1/W18-5446.
    """
    assert isinstance(params, Evaluate)
    loaded = for_use(context)
    model = full_profile(context, loaded)
    profile = model.flops
    quality: dict[str, dict[str, float]] = {}
    dense = effective = low_bit = 0.0
    for split in dict.fromkeys(params.splits):
        metrics, predictions = evaluate(
            context, loaded, split, batch_size=params.batch_size, max_length=params.max_length
        )
        quality[split] = report_quality(context, split, metrics)
        dense += predictions.forward_flops(profile)
        effective += predictions.forward_flops(profile, model.density)
        if model.low_bit:
            low_bit += predictions.low_bit_flops(profile)
    context.reporter.flops(dense, effective, low_bit, profile.method, list(profile.uncounted))
    return StageResult(facts={"quality": quality})
