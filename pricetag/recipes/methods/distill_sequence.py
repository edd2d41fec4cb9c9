"""Parameters of sequence-level knowledge distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError
from pricetag.recipes.students import Student, student_shape
from pricetag.recipes.tasks import LANGUAGE_MODELS, TaskEntry
from pricetag.recipes.training import TRAINING, FullTraining, metric_is_reported

GENERATION = ("prompt_tokens", "new_tokens", "beams")


class DistillSequence(FullTraining):
    """Train a student on the teacher's own outputs instead of the labels.

    A causal language model learns what its teacher writes after the first tokens of each text,
    greedily or with a beam; a classifier learns its teacher's classes, a regression its scores.

    Source: Kim and Rush 2016, Sequence-Level Knowledge Distillation, section 3.2,
    arXiv:1606.07947.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["sequence"]
    prompt_tokens: int = Field(
        8, ge=1, le=8192, description="Language models: tokens of each text that are continued."
    )
    new_tokens: int = Field(
        32, ge=1, le=8192, description="Language models: maximum number of tokens to write."
    )
    beams: int = Field(1, ge=1, le=64, description="Language models: width of the beam; 1: greedy.")
    student: Student = Field(
        default=Student(), description="Shape and first weights of the student."
    )


def _fits_task(params: DistillSequence, task: TaskEntry) -> MisfitError | None:
    """Why the options do not fit the run's task: some belong to language models alone."""
    if task.name not in LANGUAGE_MODELS:
        for option in GENERATION:
            if getattr(params, option) != type(params).model_fields[option].default:
                return MisfitError(option, "belongs to causal_lm; remove it")
    elif params.prompt_tokens + params.new_tokens > params.max_length:
        return MisfitError(
            "new_tokens",
            f"{params.prompt_tokens} prompt_tokens and {params.new_tokens} new_tokens are more "
            f"than max_length {params.max_length}",
        )
    return metric_is_reported(params, task)


ENTRY = RecipeEntry(
    params=DistillSequence,
    title="Distill the teacher's own outputs",
    summary="Trains a student on text that its teacher generates, or on the classes it predicts.",
    paper=Paper(
        "Kim, Rush (2016): Sequence-Level Knowledge Distillation. EMNLP.",
        "https://arxiv.org/abs/1606.07947",
    ),
    example={
        "kind": "distill",
        "method": "sequence",
        "student": {"layers": 1},
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS,
        group="compression",
        tasks=frozenset({"classification", "regression", "causal_lm"}),
        check_task=_fits_task,
        reshape=lambda params, teacher: student_shape(params.student, teacher),
        amount=TRAINING.amount | set(GENERATION),
    ),
)
