"""Prune an encoder by the magnitude of its weights, with recovery training."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune import Prune
from workers.job.context import StageContext, StageResult
from workers.methods.magnitude import magnitudes
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.pruning.stage import prune_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Prune at once, in rounds or along a ramp, with recovery training if requested.

    Raises:
        JobError: The model is untrained, 8-bit, or has nothing to prune.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Han et al. 2015, section 3, arXiv:1506.02626; Gordon et al. 2020,
    arXiv:2002.08307.
    """
    assert isinstance(params, Prune)
    load = partial(for_use, context)
    return prune_and_save(
        context, load(), params, lambda tally, matrices: magnitudes(matrices), reload=load
    )
