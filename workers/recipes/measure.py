"""Measure size, speed, energy of use and quality of a model."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.measure import Measure
from workers.job.context import StageContext, StageResult
from workers.training.cost.measuring import measure_cost
from workers.training.evaluate import evaluate, report_quality
from workers.training.finetune import count_model
from workers.training.model.models import for_use


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Report size, cost of use and quality of the current model.

    Wh per 1,000 inferences is the energy of the stage ``inference`` over ``inferences``.

    Raises:
        JobError: The model is untrained, or the split cannot be read.
        Interrupted: A stop was requested.

    Source: Schwartz et al. 2020, Green AI, doi:10.1145/3381831; Strubell et al. 2019,
    doi:10.18653/v1/P19-1355.
    """
    assert isinstance(params, Measure)
    loaded = for_use(context)
    facts = measure_cost(context, loaded, params)
    quality: dict[str, dict[str, float]] = {}
    if params.accuracy:
        options = {"batch_size": 64, "max_length": params.max_length}
        metrics, _ = evaluate(context, loaded, params.split, **options)
        quality[params.split] = report_quality(context, params.split, metrics)
    return StageResult(facts={**facts, "quality": quality})
