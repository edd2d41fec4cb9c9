"""Parameters of a model in bf16."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pricetag.recipes.base import StageParams
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.quantizing import WITHOUT_TRAINING
from pricetag.recipes.shapes import ALL_FORMATS


class QuantizeBf16(StageParams):
    """Round all weights to bfloat16, and compute in it: the range of fp32 with 8 bits of precision.

    Source: Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training, section 3,
    arXiv:1905.12322.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["bf16"]


ENTRY = RecipeEntry(
    params=QuantizeBf16,
    title="Convert to bf16",
    summary="Rounds all weights to 16-bit floating point (8 bits of exponent, as fp32).",
    paper=Paper(
        "Kalamkar et al. (2019): A Study of BFLOAT16 for Deep Learning Training.",
        "https://arxiv.org/abs/1905.12322",
    ),
    example={"kind": "quantize", "method": "bf16"},
    traits=replace(WITHOUT_TRAINING, formats=ALL_FORMATS),
)
