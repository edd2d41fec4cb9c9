"""Prune a model gradually while it is pre-trained."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_compressbert import PruneCompressbert
from workers.job.context import StageContext, StageResult
from workers.methods.compressbert import choice
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.pruning.masker import RampedMasker
from workers.training.pruning.schedule import Ramp
from workers.training.pruning.selection import with_others
from workers.training.pruning.stage import require_prunable
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the model while it is pruned along a ramp, then with fixed masks, and save it.

    Raises:
        JobError: The model is 8-bit or has nothing to prune, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Gordon, Duh, Andrews 2020, section 3, arXiv:2002.08307.
    """
    assert isinstance(params, PruneCompressbert)
    loaded = for_training(context, training_labels(context), params.seed)
    require_prunable(context, loaded)
    ramp = Ramp(params.sparsity, params.ramp_start, params.ramp_end, params.mask_every)
    select = partial(with_others, embeddings=params.embeddings, pooler=params.pooler)
    masker = RampedMasker(choice(params.control, params.seed), ramp, select)
    return train_and_save(context, loaded, params, plugins=[masker])
