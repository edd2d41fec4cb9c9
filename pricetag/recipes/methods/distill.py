"""Parameters of knowledge distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError
from pricetag.recipes.students import Student, student_shape
from pricetag.recipes.tasks import LANGUAGE_MODELS, TASKS, TaskEntry
from pricetag.recipes.training import TRAINING, FullTraining, metric_is_reported


class Distill(FullTraining):
    """Train a smaller student on the logits of the current model, the teacher.

    Loss: alpha * CE + (1 - alpha) * T^2 * KL(teacher_T || student_T), mean over the batch;
    regression: alpha * MSE(label) + (1 - alpha) * MSE(teacher); language models: mean over the
    batch's tokens; question answering: mean over the answer's first and last token.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531; layer selection:
    Sanh et al. 2019, DistilBERT, section 3, arXiv:1910.01108.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["logits"] = "logits"
    alpha: float = Field(0.5, ge=0, le=1, description="Weight of the hard labels.")
    temperature: float = Field(
        2.0, gt=0, le=100, description="Temperature by which the logits are divided."
    )
    tokens: Literal["predicted", "all"] | None = Field(
        None,
        description=(
            "Language models: tokens on which the student learns from its teacher: all except "
            "padding, or the predicted ones. Default: `all` with `masked_lm`, "
            "`predicted` with `causal_lm`."
        ),
    )
    student: Student = Field(
        default=Student(), description="Shape and first weights of the student."
    )

    def every_token(self, task: str) -> bool:
        """Whether the student of a language model learns on all tokens that are not padding."""
        return self.tokens == "all" or (self.tokens is None and TASKS[task].hides_tokens)


def options_fit(params: Distill, task: TaskEntry) -> MisfitError | None:
    """Why the options do not fit the run's task: some belong to language models alone."""
    if params.tokens is not None and task.name not in LANGUAGE_MODELS:
        return MisfitError(
            "tokens", f"belongs to {' and '.join(sorted(LANGUAGE_MODELS))}; remove it"
        )
    return metric_is_reported(params, task)


ENTRY = RecipeEntry(
    params=Distill,
    title="Distill into a smaller student",
    summary="Trains a student with fewer (or narrower) layers on the teacher's logits.",
    paper=Paper(
        "Hinton, Vinyals, Dean (2015): Distilling the Knowledge in a Neural Network. "
        "NIPS Deep Learning Workshop.",
        "https://arxiv.org/abs/1503.02531",
    ),
    example={
        "kind": "distill",
        "alpha": 0.5,
        "temperature": 2.0,
        "student": {"layers": "every_second"},
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS,
        group="compression",
        check_task=options_fit,
        reshape=lambda params, teacher: student_shape(params.student, teacher),
        tuning=TRAINING.tuning | {"alpha", "temperature"},
        later=frozenset({"method", "student.model"}),
    ),
)
