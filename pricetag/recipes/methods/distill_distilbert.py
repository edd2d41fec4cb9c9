"""Parameters of DistilBERT's distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import MisfitError, Shape, require_plain_teacher
from pricetag.recipes.students import LayerList, Student
from pricetag.recipes.training import TRAINING, FullTraining


class DistillDistilbert(FullTraining):
    """Train a DistilBERT student on a BERT masked-language model with a loss of three terms.

    alpha_ce * T^2 * KL(teacher_T || student_T) + alpha_mlm * masked-LM loss + alpha_cos *
    (1 - cosine of the last states). The student has half of the layers, without token types and
    pooler.

    Source: Sanh, Debut, Chaumond, Wolf 2019, sections 2 and 3, arXiv:1910.01108.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["distilbert"]
    alpha_ce: float = Field(
        5.0, ge=0, le=1e6, description="Weight of the loss on the teacher's predictions."
    )
    alpha_mlm: float = Field(
        2.0, ge=0, le=1e6, description="Weight of the masked-language-model loss."
    )
    alpha_cos: float = Field(
        1.0, ge=0, le=1e6, description="Weight of the cosine loss of the last hidden states."
    )
    temperature: float = Field(
        2.0, gt=0, le=100, description="Temperature by which the logits are divided."
    )
    tokens: Literal["all", "predicted"] = Field(
        "all",
        description=(
            "Tokens on which the student learns its teacher's predictions: all except padding, or "
            "the masked ones."
        ),
    )
    layers: LayerList | None = Field(
        None,
        description="The teacher's layers to start from, from 0. Default: half of them, spread "
        "from the first to the last.",
    )
    copy_transform: bool = Field(
        False, description="Start from the transform of the teacher's head, not only its decoder."
    )
    learning_rate: float = Field(5e-4, gt=0, le=10, description="Peak learning rate of AdamW.")
    warmup_ratio: float = Field(0.05, ge=0, le=1, description="Share of the steps for warm-up.")
    max_grad_norm: float = Field(5.0, ge=0, le=1e6, description="0 leaves gradients unclipped.")

    @model_validator(mode="after")
    def _layers_rise(self) -> Self:
        if self.layers is not None and self.layers != sorted(set(self.layers)):
            raise PydanticCustomError(
                "layers", "must rise and name each layer once", {"field": "layers"}
            )
        return self

    def kept_layers(self, teacher: int) -> list[int]:
        """The teacher's layers from which the student starts, from 0: 0, 2, 4, 7, 9, 11 of 12.

        Raises:
            MisfitError: The teacher does not have such a layer.
        """
        if self.layers is None:
            return spread_layers(teacher, (teacher + 1) // 2)
        try:
            return Student(layers=self.layers).kept_layers(teacher)
        except ValueError as error:
            raise MisfitError("layers", str(error)) from error


def spread_layers(teacher: int, student: int) -> list[int]:
    """Layers spread evenly from the first to the last, rounded to the nearest, half up.

    Args:
        teacher: Number of the teacher's layers.
        student: Number of layers to choose.

    Source: released code of Sanh et al. 2019: 0, 2, 4, 7, 9, 11 of 12.
    """
    steps = max(student - 1, 1)
    return [(2 * number * (teacher - 1) + steps) // (2 * steps) for number in range(student)]


def _shape(params: DistillDistilbert, teacher: Shape) -> Shape:
    require_plain_teacher(teacher)  # its layers are the student's first weights
    if teacher.layers is None:
        return replace(teacher, layers=None if params.layers is None else len(params.layers))
    return replace(teacher, layers=len(params.kept_layers(teacher.layers)))


ENTRY = RecipeEntry(
    params=DistillDistilbert,
    title="Distill a masked-language model (DistilBERT)",
    summary="Trains a student of half the depth on predictions and last states of its teacher.",
    paper=Paper(
        "Sanh, Debut, Chaumond, Wolf (2019): DistilBERT, a distilled version of BERT: smaller, "
        "faster, cheaper and lighter. EMC2 Workshop, NeurIPS.",
        "https://arxiv.org/abs/1910.01108",
    ),
    example={"kind": "distill", "method": "distilbert", "epochs": 1, "learning_rate": 1e-4},
    traits=replace(
        TRAINING,
        formats=frozenset(),
        group="compression",
        tasks=frozenset({"masked_lm"}),
        reshape=_shape,
        tuning=TRAINING.tuning
        | {"alpha_ce", "alpha_mlm", "alpha_cos", "temperature", "copy_transform"},
    ),
)
