"""Prune an encoder at random, with recovery training."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_random import PruneRandom
from workers.job.context import StageContext, StageResult
from workers.methods.random_scores import random_scores
from workers.training.cost.tally import Tally
from workers.training.finetune import count_model
from workers.training.formats.sparse import Matrix
from workers.training.model.models import for_use
from workers.training.pruning.masks import Scores
from workers.training.pruning.stage import prune_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Prune random weights, with recovery training if requested.

    Raises:
        JobError: The model is untrained, 8-bit, or has nothing to prune.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Gordon et al. 2020, section 4, arXiv:2002.08307.
    """
    assert isinstance(params, PruneRandom)
    load = partial(for_use, context)

    def score(tally: Tally, matrices: Mapping[str, Matrix]) -> Scores:
        return random_scores(matrices, params.seed)

    return prune_and_save(context, load(), params, score, reload=load)
