"""Prune an encoder by the sensitivity of the loss to its connections, then train it."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_snip import PruneSnip
from workers.job.context import StageContext, StageResult
from workers.methods.snip import sensitivity
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.pruning.masks import kept_to_nearest
from workers.training.pruning.stage import prune_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Score the connections on a few batches, prune, and train the rest.

    Raises:
        JobError: The model is 8-bit or has nothing to prune, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Lee, Ajanthan, Torr 2019, section 4, algorithm 1, arXiv:1810.02340.
    """
    assert isinstance(params, PruneSnip)
    load = partial(for_training, context, training_labels(context), params.seed)
    loaded = load()
    score = sensitivity(context, loaded, params)
    return prune_and_save(
        context, loaded, params, score, reload=load, once=True, pruned=kept_to_nearest
    )
