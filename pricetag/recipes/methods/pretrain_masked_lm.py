"""Parameters of pre-training by masked language modeling."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import TRAINING, FullTraining


class PretrainMaskedLm(FullTraining):
    """Pre-train a model on text: it predicts tokens that were hidden.

    The model starts from random weights, or from those of the run's model (continued
    pre-training).

    Source: Devlin et al. 2019, BERT, section 3.1 and appendix A.2, doi:10.18653/v1/N19-1423.
    """

    kind: Literal["pretrain"] = "pretrain"
    method: Literal["masked_lm"]
    predicted: float = Field(
        0.15, gt=0, le=1, description="Share of each text's tokens that are predicted."
    )
    masked: float = Field(
        0.8, ge=0, le=1, description="Share of the predicted tokens that the mask token hides."
    )
    replaced: float = Field(
        0.1, ge=0, le=1, description="Share of the predicted tokens that become random tokens."
    )
    learning_rate: float = Field(1e-4, gt=0, le=10, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(
        0.01, ge=0, le=1, description="Decoupled weight decay of AdamW; not of biases and norms."
    )
    warmup_ratio: float = Field(0.01, ge=0, le=1, description="Share of the steps for warm-up.")

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.masked + self.replaced > 1 + 1e-9:
            raise PydanticCustomError(
                "shares",
                "masked {masked} and replaced {replaced} add up to more than 1; lower one of them",
                {"masked": self.masked, "replaced": self.replaced, "field": "replaced"},
            )
        return self


ENTRY = RecipeEntry(
    params=PretrainMaskedLm,
    title="Pre-train by masked language modeling (BERT)",
    summary="Pre-trains a model on text, from random weights or from a checkpoint: it predicts "
    "masked tokens.",
    paper=Paper(
        "Devlin, Chang, Lee, Toutanova (2019): BERT: Pre-training of Deep Bidirectional "
        "Transformers for Language Understanding. NAACL.",
        "https://doi.org/10.18653/v1/N19-1423",
    ),
    example={"kind": "pretrain", "method": "masked_lm", "epochs": 1},
    traits=replace(
        TRAINING, formats=ALL_FORMATS, starts_from_scratch=True, tasks=frozenset({"masked_lm"})
    ),
)
