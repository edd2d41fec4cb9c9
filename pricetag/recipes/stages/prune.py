"""Parameters of magnitude pruning."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.stages.common import Optimisation


class Prune(Optimisation):
    """Set the smallest weights of the encoder's matrices to zero, and recover by training.

    Prunable are query, key, value, attention.output.dense, intermediate.dense and
    output.dense of each layer; embeddings, LayerNorm, biases, pooler and head stay.

    Source: Han et al. 2015, section 3, arXiv:1506.02626; Gordon et al. 2020,
    Compressing BERT, arXiv:2002.08307.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["magnitude"] = "magnitude"
    sparsity: float = Field(gt=0, lt=1, description="Share of the prunable weights set to zero.")
    scope: Literal["global", "per_matrix"] = "global"
    mode: Literal["one_shot", "iterative"] = "one_shot"
    rounds: int = Field(1, ge=1, le=100, description="Iterative only: prune-recover rounds.")
    recovery_epochs: float = Field(
        0.0, ge=0, le=10_000, description="Epochs of recovery after each pruning; 0: none."
    )

    @model_validator(mode="after")
    def _rounds_fit_the_mode(self) -> Self:
        if self.mode == "one_shot" and self.rounds != 1:
            raise PydanticCustomError(
                "rounds",
                "one_shot has one round; use mode: iterative for {rounds}",
                {"rounds": self.rounds, "field": "rounds"},
            )
        if self.mode == "iterative" and self.rounds < 2:
            raise PydanticCustomError(
                "rounds", "iterative pruning needs two rounds or more", {"field": "rounds"}
            )
        return self
