"""Measure the quality of a model."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.evaluate import Evaluate
from workers.job.context import StageContext, StageResult
from workers.training.evaluate import evaluate_splits, report_gap
from workers.training.finetune import count_model, loaded_profile
from workers.training.model.models import for_use
from workers.training.probabilities import keep_probabilities


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Report the metrics of the run's task on each split.

    Raises:
        JobError: The model has no head for the task, or a split cannot be read.

    Source: Wang et al. 2018, GLUE, table 1, doi:10.18653/v1/W18-5446.
    """
    assert isinstance(params, Evaluate)
    loaded = for_use(context)
    quality = evaluate_splits(
        context,
        loaded,
        loaded_profile(context, loaded),
        params.splits,
        batch_size=params.batch_size,
        max_length=params.max_length,
        keep=keep_probabilities if params.keep_probabilities else None,
    )
    report_gap(context, quality)
    return StageResult(facts={"quality": quality})
