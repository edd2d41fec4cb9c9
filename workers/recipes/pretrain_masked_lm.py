"""Pre-train a model by masked language modeling."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.pretrain_masked_lm import PretrainMaskedLm
from workers.job.context import StageContext, StageResult
from workers.training.finetune import count_model
from workers.training.model.models import for_training
from workers.training.tasks.masked_lm import TASK, Masking
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the run's model on hidden tokens and save it with its head.

    Raises:
        JobError: The model or the data cannot be used, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Devlin et al. 2019, BERT, section 3.1, doi:10.18653/v1/N19-1423.
    """
    assert isinstance(params, PretrainMaskedLm)
    loaded = for_training(context, None, params.seed)
    masking = Masking(params.predicted, params.masked, params.replaced)
    return train_and_save(context, loaded, params, batches=partial(TASK.collator, masking=masking))
