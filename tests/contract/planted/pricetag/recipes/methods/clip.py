"""Parameters of training with clipped weights: a kind that the tests add."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.training import TRAINING, FullTraining


class Clip(FullTraining):
    """Train the run's model, and keep every weight of its linear layers within a limit.

    Source: Arjovsky, Chintala, Bottou 2017, algorithm 1, arXiv:1701.07875.
    """

    kind: Literal["clip"] = "clip"
    limit: float = Field(0.5, gt=0, le=100, description="Largest size of a weight.")


ENTRY = RecipeEntry(
    params=Clip,
    title="Train with clipped weights",
    summary="Trains an encoder whose linear layers keep their weights within a limit.",
    paper=Paper(
        "Arjovsky, Chintala, Bottou (2017): Wasserstein Generative Adversarial Networks. ICML.",
        "https://arxiv.org/abs/1701.07875",
    ),
    example={"kind": "clip", "epochs": 1, "learning_rate": 1e-3, "limit": 0.05},
    traits=replace(TRAINING, formats=frozenset(), tuning=TRAINING.tuning | {"limit"}),
)
