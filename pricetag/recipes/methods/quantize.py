"""Parameters of post-training quantization."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pricetag.recipes.base import StageParams
from pricetag.recipes.kinds import Paper, RecipeEntry, Traits
from pricetag.recipes.shapes import ALL_FORMATS


class Quantize(StageParams):
    """Store weights as 8-bit integers: every Linear, and each row of the embeddings.

    Activations are quantized at run time (dynamic). Weights are symmetric, so that zeros stay
    zeros.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188; Jacob et al. 2018,
    equation 1, doi:10.1109/CVPR.2018.00286.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["int8_dynamic"] = "int8_dynamic"
    scheme: Literal["int8_dynamic"] = Field(
        default="int8_dynamic", description="Format of the weights."
    )
    embeddings: bool = Field(True, description="Quantize embeddings too, with a scale per row.")


ENTRY = RecipeEntry(
    params=Quantize,
    title="Quantize to 8-bit integers",
    summary="Converts linear layers, and embeddings, to 8-bit integers without training.",
    paper=Paper(
        "Zafrir, Boudoukh, Izsak, Wasserblat (2019): Q8BERT: Quantized 8Bit BERT. EMC2-NIPS.",
        "https://arxiv.org/abs/1910.06188",
    ),
    example={"kind": "quantize", "scheme": "int8_dynamic", "embeddings": True},
    traits=Traits(
        group="compression",
        formats=ALL_FORMATS,
        makes_model=True,
        final="8-bit weights are final",
        later=frozenset({"method"}),
    ),
)
