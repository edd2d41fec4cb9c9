"""Train with clipped weights."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.clip import Clip
from workers.job.context import StageContext, StageResult
from workers.methods.clip import ClipWeights
from workers.training.finetune import count_model, save, training_data, training_labels
from workers.training.fit import Horizon, fit, forget_checkpoints, report_training
from workers.training.model.models import for_training


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the run's model on its task with clipped weights, and save it.

    Source: Arjovsky, Chintala, Bottou 2017, algorithm 1, arXiv:1701.07875.
    """
    assert isinstance(params, Clip)
    loaded = for_training(context, training_labels(context), params.seed)
    data = training_data(context, loaded, params.max_length)
    horizon = Horizon(params.effective_epochs, params.max_steps)
    clipping = ClipWeights(params.limit)
    outcome = fit(context, loaded, data, params, horizon=horizon, plugins=[clipping])
    report_training(context, [outcome])
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(model_folder=folder, facts={**outcome.facts(), "limit": params.limit})
