"""Fine-tune an encoder, or train one from scratch."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.train import Train
from workers.job.context import StageContext, StageResult
from workers.training import continuation
from workers.training.finetune import count_model, save, training_data, training_labels
from workers.training.fit import forget_checkpoints
from workers.training.model.models import for_training
from workers.training.training_stage import train


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the run's model on its task, or a part of that training, and save it.

    Raises:
        JobError: The model or the data cannot be used, an earlier run's training cannot be
            continued, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Devlin et al. 2019, BERT, section 3.2, doi:10.18653/v1/N19-1423.
    """
    assert isinstance(params, Train)
    loaded = for_training(context, training_labels(context), params.seed)
    data = training_data(context, loaded, params.max_length)
    part = continuation.begin(context, loaded, params, data)
    facts = train(context, loaded, params, data=data, part=part)
    folder = save(context, loaded)
    continuation.keep(context, params, data, part)
    forget_checkpoints(context)
    return StageResult(model_folder=folder, facts={**facts, "labels": loaded.labels})
