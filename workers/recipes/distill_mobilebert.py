"""Distill a masked-language model into a MobileBERT student."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill_mobilebert import DistillMobilebert
from workers.job.context import StageContext, StageResult
from workers.methods.logits import SoftLabels
from workers.methods.mobilebert import phases, student_config, student_of
from workers.training import distillation
from workers.training.phases import train_in_phases
from workers.training.tasks.registry import task_of


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, DistillMobilebert)
    distillation.count_teacher_and(context, partial(student_config, params, context.field))


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on each of its teacher's layers in turn, then on words, and save it.

    Raises:
        JobError: The teacher is untrained or 8-bit, or no student fits it.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.

    Source: Sun, Yu, Song, Liu, Yang, Zhou 2020, section 3, arXiv:2004.02984.
    """
    assert isinstance(params, DistillMobilebert)
    make, task = partial(student_of, params, context.field), task_of(context)
    teacher, student = distillation.teacher_and(context, params, make)
    soft = SoftLabels(teacher, 1 - params.alpha, 1.0, task.choices)
    words = [task.loss(params.alpha), soft]
    parts = phases(params, teacher, distillation.profiles(context, teacher, student), words)
    facts = distillation.layers(teacher, student)
    return train_in_phases(context, student, params, parts, facts)
