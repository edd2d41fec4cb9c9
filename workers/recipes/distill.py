"""Distill the current model into a smaller student by its logits."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill import Distill
from workers.job.context import StageContext, StageResult
from workers.methods.logits import SoftLabels
from workers.training import distillation
from workers.training.tasks.registry import task_of
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, Distill)
    distillation.count_teacher_and_student(context, params.student)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on alpha * labels + (1 - alpha) * teacher, and save it.

    The teacher's own training is an earlier stage of the run, with its own price.

    Raises:
        JobError: The teacher is untrained or 8-bit, or the student does not fit it.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531.
    """
    assert isinstance(params, Distill)
    teacher, student = distillation.teacher_and_student(context, params.student, params)
    task = task_of(context)
    choices = partial(task.choices, every_token=params.every_token(task.name))
    soft = SoftLabels(teacher, 1 - params.alpha, params.temperature, choices)
    losses, facts = [task.loss(params.alpha), soft], distillation.layers(teacher, student)
    return train_and_save(context, student, params, losses=losses, facts=facts)
