"""Distill the current model into a smaller student by the relations in one layer's attention."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill_minilm import DistillMinilm, check_pair
from workers.job.context import StageContext, StageResult
from workers.methods.minilm import IdleEnd, relations
from workers.training import distillation
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens; compare their heads."""
    assert isinstance(params, DistillMinilm)
    check = partial(check_pair, params)
    distillation.count_teacher_and_student(context, params.student, check)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on the relations in its teacher's attention, and save it.

    Raises:
        JobError: The teacher is untrained or 8-bit, or the student does not fit it.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Wang, Wei, Dong, Bao, Yang, Zhou 2020, section 3, arXiv:2002.10957.
    """
    assert isinstance(params, DistillMinilm)
    teacher, student = distillation.teacher_and_student(context, params.student, params)
    losses, plugins = relations(params, teacher), [IdleEnd()]
    facts = distillation.layers(teacher, student)
    return train_and_save(context, student, params, losses=losses, plugins=plugins, facts=facts)
