"""Shrink the encoder's weights by a proximal step after AdamW, prune, and retrain."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_rpp import PruneRpp
from workers.job.context import StageContext, StageResult
from workers.methods.rpp import ProximalStep
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.phases import train_in_phases
from workers.training.pruning.regularized import magnitudes, pruned_after
from workers.training.pruning.stage import require_prunable
from workers.training.tasks.registry import task_of


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train with the penalty, prune the smallest weights, train the rest, and save the model.

    Raises:
        JobError: The model is 8-bit or has nothing to prune, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.

    Source: Guo et al. 2019, section 4, arXiv:1909.12486.
    """
    assert isinstance(params, PruneRpp)
    loaded = for_training(context, training_labels(context), params.seed)
    require_prunable(context, loaded)
    step = ProximalStep(params.gamma, params.epsilon, params.refresh_every, params.penalty)
    loss = task_of(context).loss()
    choice = magnitudes(params.sparsity, params.scope)
    phases = pruned_after("reweighted", loaded, params, [loss], [step], choice)
    return train_in_phases(context, loaded, params, phases)
