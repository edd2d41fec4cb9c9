"""Distill the current model into a smaller student by its logits and the states of its layers."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill_pkd import DistillPkd, check_pair
from workers.job.context import StageContext, StageResult
from workers.methods.logits import SoftLabels
from workers.methods.pkd import Patience, layers_to_learn
from workers.training import distillation
from workers.training.tasks.registry import task_of
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, DistillPkd)
    distillation.count_teacher_and_student(context, params.student, check_pair)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on labels, logits and the [CLS] states of its teacher, and save it.

    Raises:
        JobError: The teacher is untrained or 8-bit, or the student does not fit it.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Sun, Cheng, Gan, Liu 2019, section 3, arXiv:1908.09355.
    """
    assert isinstance(params, DistillPkd)
    teacher, student = distillation.teacher_and_student(
        context, params.student, params, pretrained=params.start == "pretrained"
    )
    facts, labels = distillation.layers(teacher, student), task_of(context).loss(params.alpha)
    layers = layers_to_learn(context, params, facts)
    soft = SoftLabels(
        teacher, 1 - params.alpha, params.temperature, mean_over_options=params.mean_over_classes
    )
    patience = Patience(teacher, layers, params.beta, normalize=params.normalize)
    return train_and_save(context, student, params, losses=[labels, soft, patience], facts=facts)
