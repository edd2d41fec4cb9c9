"""Parameters of knowledge distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import Params
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import MisfitError, Shape
from pricetag.recipes.tasks import LANGUAGE_MODELS, TaskEntry
from pricetag.recipes.training import TRAINING, FullTraining, metric_is_reported

LayerIndex = Annotated[int, Field(ge=0, le=1023)]
LayerList = Annotated[list[LayerIndex], Field(min_length=1, max_length=96)]
LayerCount = Annotated[int, Field(ge=1, le=96)]
LayerRule = Literal["every_second", "first"]


def _kind_of_layers(value: object) -> str:
    if isinstance(value, list):
        return "list"
    return "rule" if isinstance(value, str) else "count"


Layers = Annotated[
    Annotated[LayerCount, Tag("count")]
    | Annotated[LayerList, Tag("list")]
    | Annotated[LayerRule, Tag("rule")],
    Discriminator(_kind_of_layers),
]


class Student(Params):
    """A student derived from its teacher.

    ``layers`` is a list of the teacher's layers to keep (from 0), their number (spread evenly),
    or a rule. With a different width, the student's encoder starts from random weights, since
    the teacher's weights do not fit.
    """

    layers: Layers = "every_second"
    hidden_size: int | None = Field(None, ge=8, le=8192)
    num_attention_heads: int | None = Field(None, ge=1, le=128)
    intermediate_size: int | None = Field(None, ge=8, le=65_536)

    @model_validator(mode="after")
    def _layers_rise(self) -> Self:
        layers = self.layers
        if isinstance(layers, list) and layers != sorted(set(layers)):
            raise PydanticCustomError(
                "layers",
                "must rise and name each layer once",
                {"field": "layers"},
            )
        return self

    def kept_layers(self, teacher_layers: int) -> list[int]:
        """The teacher's layers from which the student starts, counted from 0.

        A number spreads them evenly from the first layer; ``first`` is the lower half.

        Raises:
            ValueError: the teacher does not have such a layer.
        """
        selection = self.layers
        if selection == "every_second":
            return list(range(0, teacher_layers, 2))
        if selection == "first":
            return list(range((teacher_layers + 1) // 2))
        if isinstance(selection, int):
            if selection > teacher_layers:
                raise ValueError(f"the teacher has {teacher_layers} layers, not {selection}")
            return [number * teacher_layers // selection for number in range(selection)]
        assert isinstance(selection, list)
        if selection[-1] >= teacher_layers:
            raise ValueError(
                f"the teacher has layers 0 to {teacher_layers - 1}, not {selection[-1]}"
            )
        return list(selection)


class Distill(FullTraining):
    """Train a smaller student on the logits of the current model, the teacher.

    Loss: alpha * CE + (1 - alpha) * T^2 * KL(teacher_T || student_T), mean over the batch;
    regression: alpha * MSE(label) + (1 - alpha) * MSE(teacher); language models: mean over the
    batch's tokens; question answering: mean over the answer's first and last token.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531; layer selection:
    Sanh et al. 2019, DistilBERT, section 3, arXiv:1910.01108.
    """

    kind: Literal["distill"] = "distill"
    alpha: float = Field(0.5, ge=0, le=1, description="Weight of the hard labels.")
    temperature: float = Field(2.0, gt=0, le=100)
    tokens: Literal["predicted", "all"] | None = Field(
        None,
        description="Language models: tokens on which the student learns from its teacher, "
        "the predicted ones (the default) or all that are not padding.",
    )
    student: Student = Student()


def options_fit(params: Distill, task: TaskEntry) -> MisfitError | None:
    """Why the options do not fit the run's task: some belong to language models alone."""
    if params.tokens is not None and task.name not in LANGUAGE_MODELS:
        return MisfitError(
            "tokens", f"belongs to {' and '.join(sorted(LANGUAGE_MODELS))}; remove it"
        )
    return metric_is_reported(params, task)


def student_shape(params: Distill, teacher: Shape) -> Shape:
    """The student's shape, as far as known.

    Raises:
        MisfitError: The shape is impossible with this teacher or by itself.
    """
    student = params.student
    try:
        layers = _layers(student, teacher)
    except ValueError as error:
        raise MisfitError("student.layers", str(error)) from error
    shape = Shape(
        layers,
        student.hidden_size or teacher.hidden_size,
        student.num_attention_heads or teacher.heads,
    )
    if shape.hidden_size and shape.heads and shape.hidden_size % shape.heads:
        option = "num_attention_heads" if student.num_attention_heads else "hidden_size"
        raise MisfitError(
            f"student.{option}",
            f"hidden_size {shape.hidden_size} is not a multiple of "
            f"num_attention_heads {shape.heads}",
        )
    return shape


def _layers(student: Student, teacher: Shape) -> int | None:
    if teacher.layers is not None:
        return len(student.kept_layers(teacher.layers))
    if isinstance(student.layers, list):
        return len(student.layers)
    return student.layers if isinstance(student.layers, int) else None


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
        group="compression",
        check_task=options_fit,
        reshape=student_shape,
        tuning=TRAINING.tuning | {"alpha", "temperature"},
    ),
)
