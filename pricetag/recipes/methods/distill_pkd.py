"""Parameters of patient knowledge distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.data import FromScratch
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError, Shape, require_states
from pricetag.recipes.students import Student, imitating_shape
from pricetag.recipes.training import TRAINING, FullTraining


class DistillPkd(FullTraining):
    """Train a student on the teacher's logits and on the [CLS] states of its layers.

    Loss: alpha * CE + (1 - alpha) * T^2 * KL(teacher_T || student_T) + beta * the mean squared
    difference between the [CLS] states of the student's layers, all but the last, and those of
    the teacher's layers that they learn from. The paper's alpha is 1 - alpha here.

    Source: Sun, Cheng, Gan, Liu 2019, sections 3.1 and 3.2, equations 5 to 8, arXiv:1908.09355.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["pkd"]
    alpha: float = Field(0.5, ge=0, le=1, description="Weight of the hard labels.")
    temperature: float = Field(
        10.0, gt=0, le=100, description="Temperature by which the logits are divided."
    )
    beta: float = Field(100.0, ge=0, le=1e6, description="Weight of the [CLS] states.")
    teacher_layers: Literal["skip", "last"] = Field(
        "skip",
        description="Layers that the student learns from: spread over the teacher, or those "
        "before its last.",
    )
    normalize: bool = Field(True, description="Normalize every [CLS] state to length 1.")
    mean_over_classes: bool = Field(
        False,
        description=(
            "Divide the loss of the logits by the number of classes, as the authors' code does."
        ),
    )
    start: Literal["pretrained", "teacher"] = Field(
        "pretrained",
        description="Weights that the student starts from: those of the run's model, or of the "
        "teacher that was trained from it.",
    )
    student: Student = Field(
        default=Student(layers="first"), description="Shape and first weights of the student."
    )


def _shape(params: DistillPkd, teacher: Shape) -> Shape:
    start = teacher
    if params.start == "pretrained":
        start = replace(teacher.of_run or Shape(), student=teacher.student)
    shape = imitating_shape(params.student, start, attention=False)
    require_states(teacher, "teacher", attention=False, leaves_early=True)
    check_pair(teacher, shape)
    return shape


def check_pair(teacher: Shape, student: Shape) -> None:
    """Reject a student whose states cannot be compared with its teacher's.

    Raises:
        MisfitError: The student has one layer, more layers than the teacher, or another width.
    """
    if student.layers is not None and student.layers < 2:
        raise MisfitError(
            "student.layers", "must be two or more: the last layer learns no [CLS] state"
        )
    depths = student.layers, teacher.layers
    if depths[0] is not None and depths[1] is not None and depths[0] > depths[1]:
        raise MisfitError(
            "student.layers",
            f"must be at most the teacher's, {depths[1]} (the student has {depths[0]}): "
            "each layer learns from one of the teacher's",
        )
    widths = {student.hidden_size, teacher.hidden_size} - {None}
    if len(widths) > 1:
        raise MisfitError(
            "student.hidden_size",
            f"must be the teacher's, {teacher.hidden_size}: their states are compared",
        )


def _check_model(params: DistillPkd, model: object) -> MisfitError | None:
    if params.start == "pretrained" and isinstance(model, FromScratch):
        return MisfitError(
            "start", "the run's model has random weights; use start: teacher, or a trained model"
        )
    return None


ENTRY = RecipeEntry(
    params=DistillPkd,
    title="Distill patiently, layer by layer",
    summary="Trains a student on the teacher's logits and on the [CLS] states of its layers.",
    paper=Paper(
        "Sun, Cheng, Gan, Liu (2019): Patient Knowledge Distillation for BERT Model Compression. "
        "EMNLP.",
        "https://arxiv.org/abs/1908.09355",
    ),
    example={
        "kind": "distill",
        "method": "pkd",
        "start": "teacher",
        "student": {"layers": 2},
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS - {"deq", "exits"},
        group="compression",
        tasks=frozenset({"classification", "regression"}),
        reshape=_shape,
        check_model=_check_model,
        tuning=TRAINING.tuning | {"alpha", "temperature", "beta", "mean_over_classes"},
        later=TRAINING.later | {"mean_over_classes"},
    ),
)
