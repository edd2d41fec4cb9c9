"""Parameters of weight-only quantization."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.base import StageParams
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.quantizing import WITHOUT_TRAINING
from pricetag.recipes.shapes import ALL_FORMATS


class QuantizeWeightOnly(StageParams):
    """Store weights as integers of 8 or 4 bits, rounded to the nearest; activations stay fp32.

    Symmetric, one scale for each block of a row, so that zeros stay zeros. Every linear layer is
    converted, the head included.

    Source: Dettmers, Zettlemoyer 2023, The case for 4-bit precision, sections 2 and 3.1,
    arXiv:2212.09720.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["weight_only"]
    bits: Literal[8, 4] = Field(8, description="Bits of a weight.")
    group_size: int | None = Field(
        None,
        ge=8,
        le=65_536,
        description="Weights of a row that share a scale. Default: the row with 8 bits, 64 with 4.",
    )
    embeddings: bool = Field(True, description="Quantize embeddings too.")

    @property
    def column_size(self) -> int | None:
        """Weights of a row that share a scale; None for the whole row."""
        return 64 if self.group_size is None and self.bits == 4 else self.group_size


ENTRY = RecipeEntry(
    params=QuantizeWeightOnly,
    title="Quantize weights only",
    summary="Stores weights as 8-bit or 4-bit integers; the arithmetic stays fp32.",
    paper=Paper(
        "Dettmers, Zettlemoyer (2023): The case for 4-bit precision: k-bit Inference Scaling "
        "Laws. ICML.",
        "https://arxiv.org/abs/2212.09720",
    ),
    example={"kind": "quantize", "method": "weight_only", "bits": 4},
    traits=replace(WITHOUT_TRAINING, formats=ALL_FORMATS),
)
