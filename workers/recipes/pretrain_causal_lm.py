"""Pre-train a model by causal language modeling."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.pretrain_causal_lm import PretrainCausalLm
from workers.job.context import StageContext, StageResult
from workers.training.finetune import count_model
from workers.training.model.models import for_training
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the run's model on each next token and save it with its head.

    Raises:
        JobError: The model or the data cannot be used, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Radford et al. 2018, section 3.1.
    """
    assert isinstance(params, PretrainCausalLm)
    loaded = for_training(context, None, params.seed)
    return train_and_save(context, loaded, params)
