"""Parameters of Q-BERT."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.quantizing import WITH_TRAINING
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError, Shape
from pricetag.recipes.training import FullTraining

Bits = Annotated[int, Field(ge=2, le=8)]


def _two_or_four() -> list[int]:
    return [2, 4]


class QuantizeQbert(FullTraining):
    """Fine-tune with weights of few bits in groups of rows, then store the integers.

    Weights are symmetric, with a scale for each group of neighboring rows of a matrix. With bits:
    auto the layers with the largest eigenvalues of the Hessian get more bits than the others.
    The inputs of linear layers have 8 bits with a zero point.

    Source: Shen et al. 2020, Q-BERT, sections 3.1 and 3.2, arXiv:1909.05840.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["qbert"]
    bits: Bits | Literal["auto"] = Field(
        4,
        description="Bits of a weight in the layers, 2 to 8; auto: bits of each layer. They are "
        "symmetric about 0: 2 bits are the three levels -S, 0 and S.",
    )
    bit_budget: float | None = Field(
        None, ge=2, le=8, description="With bits: auto, maximum mean of the bits of a weight."
    )
    bit_choices: Annotated[list[Bits], Field(min_length=2, max_length=7)] = Field(
        default_factory=_two_or_four, description="With bits: auto, the bits that a layer may have."
    )
    groups: int = Field(
        128, ge=1, le=65_536, description="Groups of rows of a matrix; at most one for each row."
    )
    embedding_bits: Bits = Field(8, description="Bits of a weight in the embeddings.")
    position_bits: Bits | None = Field(
        None, description="Bits of a weight in the position embedding. Default: embedding_bits."
    )
    head_bits: Bits = Field(8, description="Bits of a weight in pooler and head.")
    activations: bool = Field(True, description="Round the inputs of linear layers to 8 bits too.")
    ema_decay: float = Field(
        0.99, ge=0, lt=1, description="Weight of the former average in a range of activations."
    )
    hessian_examples: int = Field(
        128, ge=1, le=10**7, description="With bits: auto, training examples of the Hessian."
    )
    hessian_batch_size: int = Field(
        16, ge=1, le=65_536, description="Examples of one Hessian; each has its own eigenvalue."
    )
    hessian_tolerance: float = Field(
        1e-3, gt=0, lt=1, description="Relative change at which the power iteration ends."
    )
    hessian_iterations: int = Field(
        100, ge=1, le=10_000, description="Maximum number of power iterations."
    )

    @model_validator(mode="after")
    def _budget_fits(self) -> Self:
        if self.bits != "auto":
            if self.bit_budget is not None:
                raise _fault("bit_budget", "belongs to bits: auto; remove it, or use bits: auto")
            return self
        if len(set(self.bit_choices)) < len(self.bit_choices):
            raise _fault("bit_choices", "must be different numbers of bits")
        low, high = min(self.bit_choices), max(self.bit_choices)
        if self.bit_budget is None:
            raise _fault("bit_budget", f"is missing: bits: auto needs it, from {low} to {high}")
        if not low <= self.bit_budget <= high:
            raise _fault(
                "bit_budget",
                f"must be from {low} to {high}, the least and the most of bit_choices "
                f"(got {self.bit_budget:g})",
            )
        return self


def _reshape(params: QuantizeQbert, shape: Shape) -> Shape:
    if params.bits == "auto" and "deq" in shape.formats:
        raise MisfitError(
            "bits",
            "the implicit gradient of a deq model has no second derivatives; state the bits",
            "bad-model",
        )
    return shape


def _fault(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(field, "{what}", {"what": message, "field": field})


ENTRY = RecipeEntry(
    params=QuantizeQbert,
    title="Mix bits by the Hessian (Q-BERT)",
    summary="Trains with weights of 2 to 8 bits in groups; sensitive layers get more bits.",
    paper=Paper(
        "Shen, Dong, Ye, Ma, Yao, Gholami, Mahoney, Keutzer (2020): Q-BERT: Hessian Based Ultra "
        "Low Precision Quantization of BERT. AAAI.",
        "https://arxiv.org/abs/1909.05840",
    ),
    example={
        "kind": "quantize",
        "method": "qbert",
        "bits": "auto",
        "bit_budget": 3,
        "hessian_examples": 8,
        "hessian_batch_size": 8,
        "hessian_iterations": 5,
        "epochs": 1,
        "learning_rate": 2e-5,
    },
    traits=replace(
        WITH_TRAINING,
        formats=ALL_FORMATS,
        reshape=_reshape,
        tuning=WITH_TRAINING.tuning | {"ema_decay"},
    ),
)
