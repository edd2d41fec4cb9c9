"""Parameters of quantization-aware training."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.quantizing import WITH_TRAINING
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import FullTraining


class QuantizeQat(FullTraining):
    """Fine-tune with rounded weights and activations, then store the integers.

    Weights have 8 or 4 bits, symmetric, with a scale for each block of a row. The inputs of linear
    layers have 8 bits with a zero point; their ranges are moving averages of the extremes.

    Source: Jacob et al. 2018, section 3, doi:10.1109/CVPR.2018.00286.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["qat"]
    bits: Literal[8, 4] = Field(8, description="Bits of a weight.")
    group_size: int | None = Field(
        None,
        ge=8,
        le=65_536,
        description="With 4 bits, weights of a row that share a scale. Default: 64.",
    )
    activations: bool = Field(True, description="Round the inputs of linear layers to 8 bits too.")
    embeddings: bool = Field(True, description="Round embeddings too, with the same bits.")
    ema_decay: float = Field(
        0.99, ge=0, lt=1, description="Weight of the former average in a range of activations."
    )

    @model_validator(mode="after")
    def _groups_fit_the_bits(self) -> Self:
        if self.bits == 8 and self.group_size is not None:
            raise PydanticCustomError(
                "group_size",
                "8-bit weights have a scale for each row; remove it, or use bits: 4",
                {"field": "group_size"},
            )
        return self

    @property
    def column_size(self) -> int | None:
        """Weights of a row that share a scale; None for the whole row."""
        return 64 if self.group_size is None and self.bits == 4 else self.group_size


ENTRY = RecipeEntry(
    params=QuantizeQat,
    title="Train for quantization",
    summary="Trains with rounded weights and activations, and stores 8-bit or 4-bit integers.",
    paper=Paper(
        "Jacob et al. (2018): Quantization and Training of Neural Networks for Efficient "
        "Integer-Arithmetic-Only Inference. CVPR.",
        "https://doi.org/10.1109/CVPR.2018.00286",
    ),
    example={
        "kind": "quantize",
        "method": "qat",
        "bits": 4,
        "epochs": 1,
        "learning_rate": 2e-5,
    },
    traits=replace(WITH_TRAINING, formats=ALL_FORMATS, tuning=WITH_TRAINING.tuning | {"ema_decay"}),
)
