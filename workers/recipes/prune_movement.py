"""Fine-tune a model while its weights are pruned by learned scores."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_movement import PruneMovement
from workers.job.context import StageContext, StageResult
from workers.methods.logits import SoftLabels
from workers.methods.movement import model_and_teacher, movement_of
from workers.training import distillation
from workers.training.finetune import count_model
from workers.training.pruning.stage import require_prunable
from workers.training.tasks.registry import task_of
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations, and its teacher's, before the stage opens."""
    assert isinstance(params, PruneMovement)
    (distillation.count_twins if params.distill else count_model)(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Fine-tune the model, prune it along a ramp by movement, and save it.

    Raises:
        JobError: The model is 8-bit or has nothing to prune, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Sanh, Wolf, Rush 2020, arXiv:2005.07683.
    """
    assert isinstance(params, PruneMovement)
    task, (loaded, teacher) = task_of(context), model_and_teacher(context, params)
    require_prunable(context, loaded)
    movement, penalties = movement_of(params)
    losses = [task.loss(params.weight_of_labels), *penalties]
    if teacher is not None:
        soft = 1 - params.weight_of_labels
        losses.append(SoftLabels(teacher, soft, params.softness, task.choices))
    return train_and_save(context, loaded, params, losses=losses, plugins=[movement])
