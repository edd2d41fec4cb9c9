"""Train with a group lasso over blocks of the encoder's weights, prune blocks, and retrain."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_et import PruneEt
from workers.job.context import StageContext, StageResult
from workers.methods.et import BlockPenalty, block_masks
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.phases import train_in_phases
from workers.training.pruning.regularized import pruned_after
from workers.training.pruning.stage import require_prunable
from workers.training.tasks.registry import task_of


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train with the penalty, prune blocks, train the rest, and save the model.

    Raises:
        JobError: The model is 8-bit or has nothing to prune, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.

    Source: Chen et al. 2021, section 4, doi:10.1145/3458817.3476138.
    """
    assert isinstance(params, PruneEt)
    loaded = for_training(context, training_labels(context), params.seed)
    require_prunable(context, loaded)
    penalty = BlockPenalty(params.penalty, params.epsilon, params.refresh_epochs)
    losses = [task_of(context).loss(), penalty]
    choice = partial(block_masks, ratio=params.sparsity)
    phases = pruned_after("group lasso", loaded, params, losses, [], choice)
    return train_in_phases(context, loaded, params, phases)
