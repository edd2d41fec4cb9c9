"""Distill a BERT masked-language model into a DistilBERT student."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill_distilbert import DistillDistilbert
from workers.job.context import StageContext, StageResult
from workers.methods.distilbert import AdamOfDistilbert, LastStates, student_config, student_of
from workers.methods.logits import SoftLabels
from workers.training import distillation
from workers.training.tasks.registry import task_of
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, DistillDistilbert)
    distillation.count_teacher_and(context, partial(student_config, params, context.field))


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on the teacher's words, the hidden words and the last states; save it.

    Raises:
        JobError: The teacher is untrained, 8-bit or not a BERT model.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Sanh, Debut, Chaumond, Wolf 2019, section 3, arXiv:1910.01108.
    """
    assert isinstance(params, DistillDistilbert)
    make = partial(student_of, params, context.field)
    teacher, student = distillation.teacher_and(context, params, make)
    task, facts = task_of(context), distillation.layers(teacher, student)
    choices = partial(task.choices, every_token=params.tokens == "all")
    words = SoftLabels(teacher, params.alpha_ce, params.temperature, choices)
    losses = [words, task.loss(params.alpha_mlm), LastStates(teacher, params.alpha_cos)]
    adam = [AdamOfDistilbert()]
    return train_and_save(context, student, params, losses=losses, plugins=adam, facts=facts)
