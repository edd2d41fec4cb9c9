"""Fine-tune an encoder, or train one from scratch."""

from __future__ import annotations

from pricetag.recipes.stages import StageParams, Train
from workers.job.context import StageContext, StageResult
from workers.training.finetune import (
    count_operations,
    fit,
    report_training,
    save,
    training_labels,
)
from workers.training.loop import Length, forget_checkpoints
from workers.training.model.models import for_training, needed, read_config


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_operations(context, read_config(needed(context)))


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the run's model on its task and save it.

    Raises:
        JobError: model or data cannot be used, or the loss is no number any more.
        Interrupted: a stop was asked for; the next attempt goes on from the checkpoint.

    Source: Devlin et al. 2019, BERT, section 3.2, doi:10.18653/v1/N19-1423.
    """
    assert isinstance(params, Train)
    loaded = for_training(context, training_labels(context), params.seed)
    length = Length(params.effective_epochs, params.max_steps)
    outcome = fit(context, loaded, params, length)
    report_training(context, [outcome])
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(
        model_folder=folder,
        facts={
            "steps": outcome.steps,
            "train_loss": outcome.loss,
            "precision": outcome.precision,
            "labels": loaded.labels,
        },
    )
