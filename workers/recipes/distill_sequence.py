"""Distill the current model into a smaller student by its own outputs."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill_sequence import DistillSequence
from workers.job.context import StageContext, StageResult
from workers.methods.sequence import teacher_outputs
from workers.training import distillation
from workers.training.finetune import new_tally
from workers.training.model.loaded import Loaded
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, DistillSequence)
    distillation.count_teacher_and_student(context, params.student)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on its teacher's continuations or predictions, and save it.

    Raises:
        JobError: The teacher is untrained or 8-bit, or the student does not fit it.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Kim and Rush 2016, section 3.2, arXiv:1606.07947.
    """
    assert isinstance(params, DistillSequence)
    teacher, student = distillation.teacher_and_student(context, params.student, params)
    writer = Loaded(teacher.model, student.tokenizer, student.labels)
    tally, facts = new_tally(context, student), distillation.layers(teacher, student)
    data, plugins = teacher_outputs(context, writer, params, tally)
    return train_and_save(
        context, student, params, plugins=plugins, facts=facts, data=data, tally=tally
    )
