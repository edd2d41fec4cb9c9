"""Parameters of a model in fp16."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pricetag.recipes.base import StageParams
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.quantizing import WITHOUT_TRAINING
from pricetag.recipes.shapes import ALL_FORMATS


class QuantizeFp16(StageParams):
    """Round all weights to IEEE half precision, and compute in it.

    Values above 65,504 overflow. Most processors convert each number first, which is slower than
    fp32.

    Source: Micikevicius et al. 2018, Mixed Precision Training, section 3, arXiv:1710.03740.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["fp16"]


ENTRY = RecipeEntry(
    params=QuantizeFp16,
    title="Convert to fp16",
    summary="Rounds all weights to 16-bit floating point (5 bits of exponent).",
    paper=Paper(
        "Micikevicius et al. (2018): Mixed Precision Training. ICLR.",
        "https://arxiv.org/abs/1710.03740",
    ),
    example={"kind": "quantize", "method": "fp16"},
    traits=replace(WITHOUT_TRAINING, formats=ALL_FORMATS),
)
