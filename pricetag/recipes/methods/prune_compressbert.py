"""Parameters of pruning during pre-training."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import fault
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import TRAINING, FullTraining


class PruneCompressbert(FullTraining):
    """Prune a model gradually while it is pre-trained, then keep training with fixed masks.

    Every matrix of the layers, the word embeddings and the pooler loses its smallest weights
    along a cubic ramp. A later stage or run fine-tunes the model with its zeros kept.

    Source: Gordon, Duh, Andrews 2020, section 3, arXiv:2002.08307; Zhu and Gupta 2017,
    arXiv:1710.01878.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["compressbert"]
    sparsity: float = Field(gt=0, lt=1, description="Share of each matrix set to zero.")
    ramp_start: float = Field(0.0, ge=0, lt=1, description="Share of the steps before the ramp.")
    ramp_end: float = Field(
        0.5, gt=0, le=1, description="Share of the steps after which nothing more is pruned."
    )
    mask_every: int = Field(10, ge=1, le=10**6, description="Steps between two prunings.")
    embeddings: bool = Field(True, description="Prune the word embeddings too, as the paper does.")
    pooler: bool = Field(True, description="Prune the pooler too, as the paper does.")
    control: Literal["random_mask"] | None = Field(
        None, description="Prune random weights of each matrix instead: the paper's control."
    )

    @model_validator(mode="after")
    def _ramp_rises(self) -> Self:
        if self.ramp_start >= self.ramp_end:
            raise fault("ramp_start", f"must be less than ramp_end {self.ramp_end:g}")
        return self


ENTRY = RecipeEntry(
    params=PruneCompressbert,
    title="Prune during pre-training (Compressing BERT)",
    summary="Prunes layers, word embeddings and pooler gradually while a model is pre-trained.",
    paper=Paper(
        "Gordon, Duh, Andrews (2020): Compressing BERT: Studying the Effects of Weight Pruning "
        "on Transfer Learning. RepL4NLP.",
        "https://arxiv.org/abs/2002.08307",
    ),
    example={
        "kind": "prune",
        "method": "compressbert",
        "sparsity": 0.4,
        "mask_every": 2,
        "epochs": 1,
    },
    traits=replace(TRAINING, formats=ALL_FORMATS, group="compression", starts_from_scratch=True),
)
