"""Prune an encoder by the magnitude of its weights, and let it recover."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune import Prune
from workers.job.context import StageContext, StageResult
from workers.methods.magnitude import prune_to
from workers.training.finetune import count_model, full_profile
from workers.training.model.models import for_use
from workers.training.recovery import prune_in_rounds, require_prunable
from workers.training.training_stage import finish


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Prune at once or in rounds, each followed by recovery training if asked for.

    Raises:
        JobError: The model is untrained, 8-bit, or has nothing to prune.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Han et al. 2015, section 3, arXiv:1506.02626; Gordon et al. 2020,
    arXiv:2002.08307.
    """
    assert isinstance(params, Prune)
    loaded = for_use(context)
    require_prunable(context, loaded)
    rounds, epochs = params.rounds, params.recovery_epochs
    prune = prune_to(loaded.model, params.sparsity, params.scope, rounds)
    prune_in_rounds(context, loaded, params, prune, rounds=rounds, epochs=epochs)
    sparsity = full_profile(context, loaded).sparsity
    context.reporter.metric("encoder_sparsity", sparsity)
    return finish(context, loaded, {"encoder_sparsity": sparsity})
