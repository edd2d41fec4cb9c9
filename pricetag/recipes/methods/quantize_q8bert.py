"""Parameters of Q8BERT."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.quantizing import WITH_TRAINING
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import FullTraining


class QuantizeQ8bert(FullTraining):
    """Fine-tune with 8-bit weights and activations, then store the model in 8 bits.

    Every linear layer, the head included, and the embeddings are symmetric with one scale for each
    matrix. The ranges of a layer's input and output are moving averages of max|x|.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """

    kind: Literal["quantize"] = "quantize"
    method: Literal["q8bert"]
    ema_decay: float = Field(
        0.9999, ge=0, lt=1, description="Weight of the former average in a range of activations."
    )


ENTRY = RecipeEntry(
    params=QuantizeQ8bert,
    title="Fine-tune in 8 bits (Q8BERT)",
    summary="Trains with rounded weights and activations, and stores 8-bit integers.",
    paper=Paper(
        "Zafrir, Boudoukh, Izsak, Wasserblat (2019): Q8BERT: Quantized 8Bit BERT. EMC2-NIPS.",
        "https://arxiv.org/abs/1910.06188",
    ),
    example={"kind": "quantize", "method": "q8bert", "epochs": 1, "learning_rate": 2e-5},
    traits=replace(WITH_TRAINING, formats=ALL_FORMATS, tuning=WITH_TRAINING.tuning | {"ema_decay"}),
)
