"""Fine-tune an encoder, or train one from scratch."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.train import Train
from workers.job.context import StageContext, StageResult
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the run's model on its task and save it.

    Raises:
        JobError: The model or the data cannot be used, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Devlin et al. 2019, BERT, section 3.2, doi:10.18653/v1/N19-1423.
    """
    assert isinstance(params, Train)
    loaded = for_training(context, training_labels(context), params.seed)
    return train_and_save(context, loaded, params, facts={"labels": loaded.labels})
