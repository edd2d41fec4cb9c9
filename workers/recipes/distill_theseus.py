"""Replace modules of the current model by shallower ones, as BERT-of-Theseus does."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill_theseus import DistillTheseus
from workers.job.context import StageContext, StageResult
from workers.methods.theseus import rate_of
from workers.training import distillation
from workers.training.finetune import model_profile
from workers.training.grafting import Replacing
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, DistillTheseus)
    successor = distillation.first_layers(context, params.layers)
    distillation.count_teacher_and_student(context, successor)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the successor within its predecessor, then alone, and save it.

    Raises:
        JobError: The predecessor is untrained or 8-bit, or has no such parts.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Xu, Zhou, Ge, Wei, Zhou 2020, section 3, arXiv:2002.02925.
    """
    assert isinstance(params, DistillTheseus)
    first = distillation.first_layers(context, params.layers)
    teacher, successor = distillation.teacher_and_student(context, first, params)
    profile = model_profile(context, successor)
    replacing = Replacing(teacher.model, rate_of(params), profile)
    facts = distillation.layers(teacher, successor)
    return train_and_save(context, successor, params, plugins=[replacing], facts=facts)
