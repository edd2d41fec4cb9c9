"""Parameters of training with early exits."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import Split
from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError, Shape
from pricetag.recipes.students import LayerIndex
from pricetag.recipes.training import TRAINING, FullTraining, training_splits

FEWEST_LAYERS = 3
OF_THE_PAPER = {12: [0, 3, 5, 11], 24: [0, 4, 12, 23]}
"""Layers with classifiers in BERT-base and BERT-large."""

Threshold = Annotated[float, Field(ge=0, le=1)]


class TrainEarlyExit(FullTraining):
    """Fine-tune with classifiers after several layers; examples exit at the first confident one.

    Loss: the sum of the classifiers' cross-entropies. Each reads a sum of the pooled [CLS] states
    of all layers so far, with learned weights of unit L2 norm. Afterwards a temperature is fitted
    for each classifier on training examples that were set aside.

    Source: Schwartz, Stanovsky, Swayamdipta, Dodge, Smith 2020, section 3, arXiv:2004.07453.
    """

    kind: Literal["train"] = "train"
    method: Literal["early_exit"]
    layers: Annotated[list[LayerIndex], Field(min_length=2, max_length=96)] | None = Field(
        None,
        description="Layers with a classifier, from 0, ending with the last layer. Default: the "
        "paper's for 12 and 24 layers, else the first, those at a quarter and a half, the last.",
    )
    calibration_share: float = Field(
        0.1,
        gt=0,
        le=0.5,
        description="Share of the training examples for the temperatures; not trained on.",
    )
    threshold: Threshold | None = Field(
        0.9,
        description="Confidence at which an example exits the published model early; null: never.",
    )
    thresholds: Annotated[list[Threshold], Field(max_length=20)] = Field(
        [0.6, 0.7, 0.8, 0.9, 0.95, 0.99],
        description="Thresholds of the reported curve of speed and accuracy.",
    )
    curve_split: Split | None = Field(
        "validation", description="Split of the curve; null for no curve."
    )

    @model_validator(mode="after")
    def _layers_rise(self) -> Self:
        layers = self.layers
        if layers is not None and layers != sorted(set(layers)):
            raise PydanticCustomError(
                "layers", "must rise and name each layer once", {"field": "layers"}
            )
        if layers is not None and layers[-1] < FEWEST_LAYERS - 1:
            raise PydanticCustomError(
                "layers",
                "must end with the model's last layer; a model of two layers has too few for exits",
                {"field": "layers"},
            )
        return self

    @model_validator(mode="after")
    def _thresholds_rise(self) -> Self:
        if self.thresholds != sorted(set(self.thresholds)):
            raise PydanticCustomError(
                "thresholds", "must rise and name each threshold once", {"field": "thresholds"}
            )
        return self

    def exit_layers(self, layers: int) -> list[int]:
        """The layers with a classifier of a model with a number of layers."""
        if self.layers is not None:
            return list(self.layers)
        return OF_THE_PAPER.get(layers) or sorted({0, layers // 4, layers // 2, layers - 1})


def layers_misfit(params: TrainEarlyExit, layers: int) -> MisfitError | None:
    """Why a model with a number of layers cannot have the exits; None if it can."""
    code, last = "bad-exits", layers - 1
    if layers < FEWEST_LAYERS:
        message = f"the model has {layers} layer{'s' * (layers > 1)}: exits need three or more"
        return MisfitError("layers", message, code)
    exits = params.exit_layers(layers)
    if exits[-1] > last:
        return MisfitError("layers", f"the model has layers 0 to {last}, not {exits[-1]}", code)
    if exits[-1] < last:
        return MisfitError(
            "layers",
            f"must end with the model's last layer, {last} (got {exits[-1]}): what leaves at no "
            "other exit is classified there",
            code,
        )
    return None


def _reshape(params: TrainEarlyExit, shape: Shape) -> Shape:
    if "exits" in shape.formats:
        raise MisfitError("method", "the model already has exits; use kind: train", "bad-exits")
    if "deq" in shape.formats:
        raise MisfitError(
            "method", "the layers of a deq model are one function, without exits", "bad-exits"
        )
    if shape.layers is not None:
        misfit = layers_misfit(params, shape.layers)
        if misfit is not None:
            raise misfit
    return shape.of_format("exits")


def _splits(params: TrainEarlyExit) -> tuple[SplitNeed, ...]:
    curve = () if params.curve_split is None else (SplitNeed(params.curve_split),)
    return (*training_splits(params), *curve)


ENTRY = RecipeEntry(
    params=TrainEarlyExit,
    title="Train with early exits",
    summary="Trains classifiers after several layers; confident examples exit early.",
    paper=Paper(
        "Schwartz, Stanovsky, Swayamdipta, Dodge, Smith (2020): The Right Tool for the Job: "
        "Matching Model and Instance Complexities. ACL.",
        "https://arxiv.org/abs/2004.07453",
    ),
    example={
        "kind": "train",
        "method": "early_exit",
        "threshold": 0.8,
        "thresholds": [0.6, 0.8],
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS - {"deq", "exits"},
        starts_from_scratch=True,
        tasks=frozenset({"classification"}),
        splits=_splits,
        reshape=_reshape,
        tuning=TRAINING.tuning | {"threshold", "thresholds"},
    ),
)
