"""Parameters of 8-bit quantization with calibrated activations."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.base import StageParams
from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed
from pricetag.recipes.quantizing import WITHOUT_TRAINING
from pricetag.recipes.shapes import ALL_FORMATS


class QuantizeInt8Static(StageParams):
    """Store weights as 8-bit integers, and fix the ranges of the activations beforehand.

    Weights are symmetric with a scale for each row. The input of each linear layer gets a scale
    and a zero point from the smallest and the largest value in some training examples.

    Source: Jacob et al. 2018, sections 2.1 and 3, doi:10.1109/CVPR.2018.00286; Krishnamoorthi 2018,
    section 3.1, arXiv:1806.08342.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["int8_static"]
    calibration_examples: int = Field(
        512, ge=1, le=1_000_000, description="Maximum number of training examples to observe."
    )
    observer: Literal["min_max", "moving_average"] = Field(
        "min_max",
        description="Extremes of all batches, or their moving average (0.01 of each new batch).",
    )
    embeddings: bool = Field(True, description="Quantize embeddings too, with a scale per row.")
    batch_size: int = Field(32, ge=1, le=65_536, description="Examples of a calibration batch.")
    max_length: int = Field(
        128, ge=4, le=8192, description="Maximum number of tokens; longer texts are cut."
    )


ENTRY = RecipeEntry(
    params=QuantizeInt8Static,
    title="Quantize to 8-bit integers with calibration",
    summary="Converts weights and activations to 8 bits, with ranges from training examples.",
    paper=Paper(
        "Jacob et al. (2018): Quantization and Training of Neural Networks for Efficient "
        "Integer-Arithmetic-Only Inference. CVPR.",
        "https://doi.org/10.1109/CVPR.2018.00286",
    ),
    example={"kind": "quantize", "method": "int8_static", "calibration_examples": 64},
    traits=replace(
        WITHOUT_TRAINING, formats=ALL_FORMATS, splits=lambda params: (SplitNeed("train"),)
    ),
)
