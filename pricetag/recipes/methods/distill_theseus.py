"""Parameters of BERT-of-Theseus."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import MisfitError, Shape, require_plain_teacher
from pricetag.recipes.training import TRAINING, FullTraining

SLOPE = 0.0006


class DistillTheseus(FullTraining):
    """Replace modules of the current model, the predecessor, with shallower ones in training.

    In each forward pass a module of several predecessor layers is replaced, with probability p,
    by one successor layer. p is constant and then 1, or linear. The task's own loss is the only
    one; embeddings, pooler and head stay as they are.

    Source: Xu, Zhou, Ge, Wei, Zhou 2020, section 3, arXiv:2002.02925.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["theseus"]
    successor_layers: int | None = Field(
        None,
        ge=1,
        le=96,
        description="Number of the successor's layers, a divisor of the predecessor's. "
        "Default: half.",
    )
    replacing: Literal["constant", "linear"] = Field(
        "constant", description="Schedule of the replacing rate p."
    )
    replacing_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Probability at the beginning. Default: 0.5 if constant, 0.3 if linear.",
    )
    replacing_steps: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="Steps with a constant rate before the successor is trained alone. "
        "Default: half of the training.",
    )
    replacing_slope: float | None = Field(
        None, gt=0, le=1, description=f"Growth of a linear rate per step. Default: {SLOPE}."
    )

    @model_validator(mode="after")
    def _options_of_the_schedule(self) -> Self:
        others = {"constant": "replacing_slope", "linear": "replacing_steps"}
        option = others[self.replacing]
        if getattr(self, option) is not None:
            raise PydanticCustomError(
                "replacing",
                "does not belong to replacing: {schedule}; remove it",
                {"schedule": self.replacing, "field": option},
            )
        return self

    @property
    def starting_rate(self) -> float:
        """The replacing rate at the beginning."""
        if self.replacing_rate is not None:
            return self.replacing_rate
        return 0.5 if self.replacing == "constant" else 0.3

    @property
    def slope(self) -> float:
        """Growth of a linear rate per step."""
        return SLOPE if self.replacing_slope is None else self.replacing_slope

    def layers(self, predecessor: int) -> int:
        """Number of the successor's layers.

        Raises:
            MisfitError: It does not divide the predecessor's.
        """
        count = self.successor_layers
        if count is None:
            if predecessor % 2:
                raise MisfitError(
                    "successor_layers",
                    f"the predecessor has {predecessor} layers, which have no half; choose a "
                    "divisor of them",
                )
            return predecessor // 2
        if predecessor % count:
            raise MisfitError(
                "successor_layers",
                f"must divide the predecessor's {predecessor} layers (got {count})",
            )
        return count


def _shape(params: DistillTheseus, predecessor: Shape) -> Shape:
    require_plain_teacher(predecessor)
    layers = params.successor_layers
    if predecessor.layers is not None:
        layers = params.layers(predecessor.layers)
    return replace(predecessor, layers=layers)


ENTRY = RecipeEntry(
    params=DistillTheseus,
    title="Replace modules progressively (BERT-of-Theseus)",
    summary="Trains shallower modules in the model, where they replace its modules at random.",
    paper=Paper(
        "Xu, Zhou, Ge, Wei, Zhou (2020): BERT-of-Theseus: Compressing BERT by Progressive Module "
        "Replacing. EMNLP.",
        "https://arxiv.org/abs/2002.02925",
    ),
    example={
        "kind": "distill",
        "method": "theseus",
        "replacing": "constant",
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=frozenset(),
        group="compression",
        tasks=frozenset({"classification", "regression", "question_answering"}),
        reshape=_shape,
        tuning=TRAINING.tuning
        | {"replacing", "replacing_rate", "replacing_steps", "replacing_slope"},
    ),
)
