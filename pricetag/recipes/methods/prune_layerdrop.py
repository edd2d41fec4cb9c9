"""Parameters of LayerDrop."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed
from pricetag.recipes.shapes import MisfitError, Shape, require_format
from pricetag.recipes.students import LayerCount, LayerList, Student, kind_of_layers, student_shape
from pricetag.recipes.training import (
    TRAINING,
    FullTraining,
    evaluation_splits,
    training_splits,
    training_work,
)

Keep = Annotated[
    Annotated[LayerCount, Tag("count")]
    | Annotated[LayerList, Tag("list")]
    | Annotated[Literal["every_second", "first", "all"], Tag("rule")],
    Discriminator(kind_of_layers),
]


class PruneLayerdrop(FullTraining):
    """Train a model with layers that are skipped at random, then keep some of its layers.

    In each forward pass of the training a layer is computed if u > p with a uniform u of its own;
    nothing is rescaled. Without training (``epochs: 0``) the stage only removes layers.

    Source: Fan, Grave, Joulin 2020, Reducing Transformer Depth on Demand with Structured Dropout,
    sections 3.1 and 3.2, arXiv:1909.11556.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["layerdrop"]
    p: float = Field(0.2, ge=0, lt=1, description="Probability that a layer is skipped.")
    keep: Keep = Field(
        "every_second",
        description="Layers that remain after training: a rule, their number or a list from 0.",
    )
    epochs: float | None = Field(
        None,
        ge=0,
        le=10_000,
        description="Number of epochs; 0 only removes layers. Default: 1.",
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.epochs == 0 and self.keep == "all":
            raise PydanticCustomError(
                "nothing_to_do",
                "names every layer, and epochs is 0: nothing is trained or removed",
                {"field": "keep"},
            )
        return self

    @model_validator(mode="after")
    def _layers_rise(self) -> Self:
        if isinstance(self.keep, list) and self.keep != sorted(set(self.keep)):
            raise PydanticCustomError(
                "layers", "must rise and name each layer once", {"field": "keep"}
            )
        return self

    @property
    def kept(self) -> Student | None:
        """The model that remains, as a student with some of the layers; None to keep all."""
        return None if self.keep == "all" else Student(layers=self.keep)


def _reshape(params: PruneLayerdrop, shape: Shape) -> Shape:
    require_format(shape, (), "remove layers before", "layers-not-removable")
    if shape.layers == 1:
        raise MisfitError(
            "kind",
            "the model has one layer, which can neither be skipped nor removed",
            "layers-not-removable",
        )
    if params.kept is None:
        return shape
    try:
        return student_shape(params.kept, shape)
    except MisfitError as error:
        message = str(error).replace("the teacher", "the model")
        raise MisfitError("keep", message, "layers-not-removable") from error


def _check_scratch(params: PruneLayerdrop) -> MisfitError | None:
    if params.epochs == 0:
        return MisfitError(
            "epochs", "may not be 0: the run's model has random weights; train it first"
        )
    return None


def _splits(params: PruneLayerdrop) -> tuple[SplitNeed, ...]:
    return evaluation_splits(params) if params.epochs == 0 else training_splits(params)


ENTRY = RecipeEntry(
    params=PruneLayerdrop,
    title="Train with LayerDrop, and remove layers",
    summary="Trains a model with randomly dropped layers, then removes some of them.",
    paper=Paper(
        "Fan, Grave, Joulin (2020): Reducing Transformer Depth on Demand with Structured "
        "Dropout. ICLR.",
        "https://arxiv.org/abs/1909.11556",
    ),
    example={
        "kind": "prune",
        "method": "layerdrop",
        "p": 0.2,
        "keep": "every_second",
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=frozenset(),
        group="compression",
        starts_from_scratch=True,
        splits=_splits,
        work=training_work,
        reshape=_reshape,
        check_scratch=_check_scratch,
        tuning=TRAINING.tuning | {"p"},
    ),
)
