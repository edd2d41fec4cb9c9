"""Prune an encoder at random, and let it recover."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_random import PruneRandom
from workers.job.context import StageContext, StageResult
from workers.methods.random_scores import random_scores
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.pruning.stage import prune_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Prune random weights, with recovery training if asked for.

    Raises:
        JobError: The model is untrained, 8-bit, or has nothing to prune.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Gordon et al. 2020, section 4, arXiv:2002.08307.
    """
    assert isinstance(params, PruneRandom)
    score = partial(random_scores, seed=params.seed)
    return prune_and_save(context, for_use(context), params, lambda tally: score)
