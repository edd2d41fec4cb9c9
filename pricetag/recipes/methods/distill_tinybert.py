"""Parameters of TinyBERT's distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.data import FromScratch
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import FORMATS_WITH_STATES, MisfitError, Shape
from pricetag.recipes.students import Student, imitating_shape
from pricetag.recipes.tasks import LANGUAGE_MODELS, TaskEntry
from pricetag.recipes.training import (
    TRAINING,
    FullTraining,
    examples_per_step,
    metric_is_reported,
)


class DistillTinybert(FullTraining):
    """Train a student on the teacher's embeddings, hidden states and attention, then its logits.

    Intermediate phase: MSE of embeddings and hidden states through one projection, plus MSE of
    attention scores before the softmax. Prediction phase: cross-entropy of the softened classes;
    a regression learns its labels. On masked_lm the intermediate loss alone is trained (general
    distillation), for ``epochs``.

    Source: Jiao, Yin, Shang, Jiang, Chen, Li, Wang, Liu 2020, sections 3 and 4.2,
    arXiv:1909.10351.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["tinybert"]
    intermediate_epochs: float = Field(
        10.0, ge=0, le=10_000, description="Epochs of the intermediate phase; 0 skips it."
    )
    intermediate_learning_rate: float = Field(
        5e-5, gt=0, le=10, description="Constant learning rate of the intermediate phase."
    )
    epochs: float | None = Field(
        None, gt=0, le=10_000, description="Epochs of the prediction phase. Default: 3."
    )
    learning_rate: float = Field(
        3e-5, gt=0, le=10, description="Learning rate of the prediction phase."
    )
    warmup_ratio: float = Field(
        0.1, ge=0, le=1, description="Share of the prediction phase for warm-up."
    )
    temperature: float = Field(
        1.0, gt=0, le=100, description="Temperature by which the logits are divided."
    )
    mean_over_classes: bool = Field(
        False,
        description=(
            "Divide the prediction loss by the number of classes, as the authors' code does."
        ),
    )
    student: Student = Field(
        default=Student(layers=4, hidden_size=312, intermediate_size=1200),
        description="Shape and first weights of the student.",
    )
    augmentation: int = Field(
        0,
        ge=0,
        le=100,
        description="Copies of each training example in which the run's model, a masked language "
        "model, replaces words; the paper's are 20. 0 for none.",
    )
    replacement_rate: float = Field(
        0.4, gt=0, le=1, description="Probability that a word of a copy is replaced."
    )
    replacement_candidates: int = Field(
        15, ge=1, le=1000, description="Most likely tokens from which the new word is drawn."
    )

    @property
    def effective_epochs(self) -> float:
        """Number of epochs of the prediction phase if ``max_steps`` does not limit them."""
        return 3.0 if self.epochs is None else self.epochs


def check_heads(teacher: Shape, student: Shape) -> None:
    """Check that teacher and student have equally many attention heads, if both are known.

    Raises:
        MisfitError: Their numbers differ.
    """
    if student.heads and teacher.heads and student.heads != teacher.heads:
        raise MisfitError(
            "student.num_attention_heads",
            f"must be the teacher's, {teacher.heads} (got {student.heads}): their attention "
            "scores are compared head by head",
        )


def _shape(params: DistillTinybert, teacher: Shape) -> Shape:
    student = imitating_shape(params.student, teacher, attention=True)
    check_heads(teacher, student)
    return student


def _work(params: DistillTinybert, devices: int) -> Work:
    """The epochs of both phases, over the examples and their copies."""
    larger = 1 + params.augmentation
    if params.max_steps is not None:
        examples = params.max_steps * examples_per_step(params, devices)
        return Work(epochs=larger * params.intermediate_epochs or None, examples=float(examples))
    return Work(epochs=larger * (params.intermediate_epochs + params.effective_epochs))


def _check_model(params: DistillTinybert, model: object) -> MisfitError | None:
    if params.augmentation and isinstance(model, FromScratch):
        return MisfitError(
            "augmentation",
            "needs a masked language model as the run's model, which has random weights; use a "
            "pretrained model or augmentation: 0",
        )
    return None


def _check_task(params: DistillTinybert, task: TaskEntry) -> MisfitError | None:
    if params.augmentation and task.name in LANGUAGE_MODELS:
        return MisfitError("augmentation", f"needs labeled texts; {task.name} has none, use 0")
    return metric_is_reported(params, task)


ENTRY = RecipeEntry(
    params=DistillTinybert,
    title="Distill embeddings, states and attention (TinyBERT)",
    summary="Trains a student on its teacher's hidden states and attention scores, then on logits.",
    paper=Paper(
        "Jiao, Yin, Shang, Jiang, Chen, Li, Wang, Liu (2020): TinyBERT: Distilling BERT for "
        "Natural Language Understanding. Findings of EMNLP.",
        "https://arxiv.org/abs/1909.10351",
    ),
    example={
        "kind": "distill",
        "method": "tinybert",
        "student": {"layers": 2, "hidden_size": 16, "intermediate_size": 32},
        "intermediate_epochs": 0.5,
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=FORMATS_WITH_STATES,
        group="compression",
        tasks=frozenset({"classification", "regression", "masked_lm"}),
        reshape=_shape,
        work=_work,
        check_model=_check_model,
        check_task=_check_task,
        later=frozenset({"augmentation", "replacement_rate", "replacement_candidates"}),
        counts_whole=lambda params: params.intermediate_epochs == 0,
        amount=TRAINING.amount | {"intermediate_epochs", "augmentation"},
        tuning=TRAINING.tuning | {"intermediate_learning_rate", "temperature", "mean_over_classes"},
    ),
)
