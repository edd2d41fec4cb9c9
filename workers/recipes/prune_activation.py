"""Prune an encoder by its weights and activations, and let it recover."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_activation import PruneActivation
from workers.job.context import StageContext, StageResult
from workers.methods.activation import contribution
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.pruning.stage import prune_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Score the weights on a few batches and prune, with recovery training if requested.

    Raises:
        JobError: The model is untrained, 8-bit, or has nothing to prune.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Sun, Liu, Bair, Kolter 2024, section 3, arXiv:2306.11695.
    """
    assert isinstance(params, PruneActivation)
    load = partial(for_use, context)
    loaded = load()
    score = contribution(context, loaded, params)
    return prune_and_save(context, loaded, params, score, reload=load, once=True)
