"""Prune a fine-tuned model while its layers are grafted onto the original."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_spd import PruneSpd
from workers.job.context import StageContext, StageResult
from workers.methods.spd import Probabilities, grafting_of, masks_at, ramp_of
from workers.training import distillation
from workers.training.finetune import model_profile
from workers.training.imitation import Prediction, States
from workers.training.pruning.masker import RampedMasker
from workers.training.pruning.stage import require_prunable
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the operations of teacher and student, which have the same shape."""
    distillation.count_twins(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the pruned copy within its teacher, then alone, and save it.

    Raises:
        JobError: The teacher is untrained or quantized, or has nothing to prune.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Huang, Zhou, Wang, Xu, Yu, Zhang, Ding 2022, section 3, arXiv:2110.08190.
    """
    assert isinstance(params, PruneSpd)
    teacher, student = distillation.twins(context, params)
    require_prunable(context, student)
    grafting = grafting_of(params, teacher, model_profile(context, student))
    losses = [States(teacher), Probabilities(teacher), Prediction(teacher)]
    plugins = [grafting, RampedMasker(masks_at, ramp_of(params))]
    return train_and_save(context, student, params, losses=losses, plugins=plugins)
