"""Whether every student fits its teacher, as far as the shapes are known without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pricetag.recipes.data import FromScratch
from pricetag.recipes.stages import Distill, Stage, Student


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of the model that a stage starts from; None where it is not."""

    layers: int | None = None
    hidden_size: int | None = None
    heads: int | None = None


@dataclass(frozen=True, slots=True)
class Misfit:
    """A student that cannot be made."""

    field: str  # from the recipe on
    message: str


def described_shape(model: object) -> Shape:
    """The shape of a run's model, known where it is trained from scratch."""
    if not isinstance(model, FromScratch):
        return Shape()
    config = model.config
    return Shape(config.num_hidden_layers, config.hidden_size, config.num_attention_heads)


def misfit(shape: Shape, stages: Sequence[Stage]) -> Misfit | None:
    """The first student that its teacher, or its own numbers, make impossible.

    Args:
        shape: Of the model that the run begins with.
        stages: The run's.
    """
    for index, stage in enumerate(stages):
        if not isinstance(stage, Distill):
            continue
        field = f"stages.{index}.student"
        try:
            layers = _layers(stage.student, shape)
        except ValueError as error:
            return Misfit(f"{field}.layers", str(error))
        shape = Shape(
            layers,
            stage.student.hidden_size or shape.hidden_size,
            stage.student.num_attention_heads or shape.heads,
        )
        if shape.hidden_size and shape.heads and shape.hidden_size % shape.heads:
            option = "num_attention_heads" if stage.student.num_attention_heads else "hidden_size"
            return Misfit(
                f"{field}.{option}",
                f"hidden_size {shape.hidden_size} is not a multiple of "
                f"num_attention_heads {shape.heads}",
            )
    return None


def _layers(student: Student, teacher: Shape) -> int | None:
    if teacher.layers is not None:
        return len(student.kept_layers(teacher.layers))
    if isinstance(student.layers, list):
        return len(student.layers)
    return student.layers if isinstance(student.layers, int) else None
