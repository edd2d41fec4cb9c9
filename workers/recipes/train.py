"""Fine-tune an encoder, or train one from scratch."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.train import Train
from workers.job.context import StageContext, StageResult
from workers.training import sparsity
from workers.training.finetune import count_model, save, training_data, training_labels
from workers.training.fit import Horizon, fit, forget_checkpoints, report_training
from workers.training.model.models import for_training


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the run's model on its task and save it.

    Raises:
        JobError: model or data cannot be used, or the loss is not a number any more.
        Interrupted: a stop was asked for; the next attempt goes on from the checkpoint.

    Source: Devlin et al. 2019, BERT, section 3.2, doi:10.18653/v1/N19-1423.
    """
    assert isinstance(params, Train)
    loaded = for_training(context, training_labels(context), params.seed)
    data = training_data(context, loaded, params.max_length)
    zeros = sparsity.decide(context, loaded.model, params.keep_sparsity)
    horizon = Horizon(params.effective_epochs, params.max_steps)
    outcome = fit(context, loaded, data, params, horizon=horizon, plugins=zeros.plugins)
    report_training(context, [outcome])
    facts = {**outcome.facts(), "labels": loaded.labels, **zeros.report(context, loaded.model)}
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(model_folder=folder, facts=facts)
