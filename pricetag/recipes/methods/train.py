"""Parameters of fine-tuning, or of training from scratch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.base import Seed
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS
from pricetag.recipes.training import TRAINING, FullTraining


class Train(FullTraining):
    """Fine-tune the run's model on its task, or train it from scratch.

    Source: Devlin et al. 2019, BERT, section 3.2, doi:10.18653/v1/N19-1423.
    """

    kind: Literal["train"] = "train"
    order_seed: Seed | None = Field(
        None, description="Random seed of the order of the examples. Default: seed."
    )

    @property
    def seed_of_order(self) -> int:
        """Seed of the order of the examples."""
        return self.seed if self.order_seed is None else self.order_seed


ENTRY = RecipeEntry(
    params=Train,
    title="Fine-tune, or train from scratch",
    summary="Trains a model: to classify, score, predict words or answer questions.",
    paper=Paper(
        "Devlin, Chang, Lee, Toutanova (2019): BERT: Pre-training of Deep Bidirectional "
        "Transformers for Language Understanding. NAACL.",
        "https://doi.org/10.18653/v1/N19-1423",
    ),
    example={
        "kind": "train",
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 1e-4,
        "seed": 0,
    },
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS,
        starts_from_scratch=True,
        continues=True,
        seeds=TRAINING.seeds | {"order_seed"},
        later=TRAINING.later | {"order_seed"},
    ),
)
