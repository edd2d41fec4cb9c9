"""Students: models derived from a teacher by layers and widths."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import Location, Params
from pricetag.recipes.shapes import MisfitError, Shape, require_plain_teacher, require_states

LayerIndex = Annotated[int, Field(ge=0, le=1023)]
LayerList = Annotated[list[LayerIndex], Field(min_length=1, max_length=96)]
LayerCount = Annotated[int, Field(ge=1, le=96)]
LayerRule = Literal["every_second", "first"]


def kind_of_layers(value: object) -> str:
    """How layers are stated: as a list, a rule or their number."""
    if isinstance(value, list):
        return "list"
    return "rule" if isinstance(value, str) else "count"


Layers = Annotated[
    Annotated[LayerCount, Tag("count")]
    | Annotated[LayerList, Tag("list")]
    | Annotated[LayerRule, Tag("rule")],
    Discriminator(kind_of_layers),
]


class Student(Params):
    """A student derived from its teacher.

    ``layers`` is a list of the teacher's layers to keep (from 0), their number (spread evenly),
    or a rule. With a different width, the student's encoder starts from random weights, since
    the teacher's weights do not fit. Or ``model`` is a folder with a trained student.
    """

    layers: Layers = Field(
        default="every_second",
        description="Layers of the teacher to keep: a list, a number or a rule.",
    )
    hidden_size: int | None = Field(
        None, ge=8, le=8192, description="Width of the hidden states. Default: the teacher's."
    )
    num_attention_heads: int | None = Field(
        None, ge=1, le=128, description="Attention heads per layer. Default: the teacher's."
    )
    intermediate_size: int | None = Field(
        None,
        ge=8,
        le=65_536,
        description="Width of the feed-forward layers. Default: the teacher's.",
    )
    model: Location | None = Field(
        None,
        description="Folder of a student that is trained already, instead of layers and widths.",
    )

    @model_validator(mode="after")
    def _model_or_shape(self) -> Self:
        if self.model is None:
            return self
        for option in sorted(self.model_fields_set - {"model"}):
            raise PydanticCustomError(
                "student",
                "belongs to a student made from its teacher; remove it, or model",
                {"field": option},
            )
        return self

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


def student_shape(student: Student, teacher: Shape) -> Shape:
    """The student's shape, as far as known.

    Raises:
        MisfitError: The shape is impossible with this teacher or by itself.
    """
    if student.model is not None:
        return teacher.student or Shape()  # that of a folder on the worker
    if "exits" in teacher.formats:
        raise MisfitError("student.layers", "cannot be those of the teacher: it has early exits")
    require_plain_teacher(teacher)
    try:
        layers = _layers(student, teacher)
    except ValueError as error:
        raise MisfitError("student.layers", str(error)) from error
    shape = Shape(
        layers,
        student.hidden_size or teacher.hidden_size,
        student.num_attention_heads or teacher.heads,
        student.intermediate_size or teacher.intermediate_size,
        complete=True,
    )
    if shape.hidden_size and shape.heads and shape.hidden_size % shape.heads:
        option = "num_attention_heads" if student.num_attention_heads else "hidden_size"
        raise MisfitError(
            f"student.{option}",
            f"hidden_size {shape.hidden_size} is not a multiple of "
            f"num_attention_heads {shape.heads}",
        )
    return shape


def imitating_shape(student: Student, teacher: Shape, *, attention: bool) -> Shape:
    """The shape of a student that learns its teacher's inner states, as far as known.

    Args:
        student: The student.
        teacher: Its teacher.
        attention: Whether it learns attention too, not only hidden states.

    Raises:
        MisfitError: The shape is impossible, or a model's layers do not show their states.
    """
    shape = student_shape(student, teacher)
    if student.model is not None:
        require_states(teacher, "teacher", attention=attention, leaves_early=True)
        require_states(shape, "student", "student.model", attention=attention)
    return shape


def _layers(student: Student, teacher: Shape) -> int | None:
    if teacher.layers is not None:
        return len(student.kept_layers(teacher.layers))
    if isinstance(student.layers, list):
        return len(student.layers)
    return student.layers if isinstance(student.layers, int) else None
