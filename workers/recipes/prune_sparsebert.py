"""Prune a pretrained model while it learns from its fine-tuned self."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_sparsebert import PruneSparsebert
from workers.job.context import StageContext, StageResult
from workers.methods.sparsebert import Scores
from workers.training import distillation
from workers.training.imitation import Prediction, States
from workers.training.pruning.masker import RampedMasker, by_magnitude
from workers.training.pruning.schedule import Ramp
from workers.training.pruning.stage import require_prunable
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the operations of teacher and student, which have the same shape."""
    distillation.count_twins(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the student on its teacher's states, attention and classes while it is pruned.

    Raises:
        JobError: The teacher is untrained or quantized, or has nothing to prune.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Xu, Yen, Zhao, Xiao 2021, section 3, arXiv:2104.08682.
    """
    assert isinstance(params, PruneSparsebert)
    pretrained = params.start == "pretrained"
    teacher, student = distillation.twins(context, params, pretrained=pretrained)
    require_prunable(context, student)
    ramp = Ramp(params.sparsity, params.ramp_start, params.ramp_end, updates=params.updates)
    masker = RampedMasker(by_magnitude, ramp)
    losses = [States(teacher), Scores(teacher), Prediction(teacher)]
    return train_and_save(context, student, params, losses=losses, plugins=[masker])
