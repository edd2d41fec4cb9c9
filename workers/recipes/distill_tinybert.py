"""Distill the current model into a smaller student by its inner states, then by its logits."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill_tinybert import DistillTinybert, check_heads
from workers.job.context import StageContext, StageResult
from workers.methods.tinybert import phases, prepare_replacement, training_set
from workers.training import distillation
from workers.training.phases import train_in_phases
from workers.training.tasks.registry import task_of


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens; compare their attention heads."""
    assert isinstance(params, DistillTinybert)
    distillation.count_teacher_and_student(context, params.student, check_heads)
    prepare_replacement(context, params)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on the teacher's inner states, then on its logits, and save it.

    Raises:
        JobError: The teacher is untrained or 8-bit, or the student does not fit it.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.

    Source: Jiao, Yin, Shang, Jiang, Chen, Li, Wang, Liu 2020, section 3, arXiv:1909.10351.
    """
    assert isinstance(params, DistillTinybert)
    teacher, student = distillation.teacher_and_student(context, params.student, params)
    parts = phases(params, teacher, student.model, task_of(context))
    facts = distillation.layers(teacher, student)
    data, tally = training_set(context, student, params)
    return train_in_phases(context, student, params, parts, facts, data=data, tally=tally)
