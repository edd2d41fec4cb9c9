"""Parameters of pruning by weights and activations."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed
from pricetag.recipes.pruning import PRUNING, Pruning, fault, pruning_splits
from pricetag.recipes.shapes import ALL_FORMATS


class PruneActivation(Pruning):
    """Prune the weights that contribute least to their outputs on training examples.

    The score of a weight is |weight| * norm of its input feature over the tokens of a few batches;
    the weights of each output are ranked by themselves.

    Source: Sun, Liu, Bair, Kolter 2024, section 3, arXiv:2306.11695.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["activation"]
    batches: int = Field(4, ge=1, le=10_000, description="Number of batches for the scores.")
    per_row: bool = Field(
        True,
        description="Rank the weights of each output by themselves; false: those of the scope.",
    )

    @model_validator(mode="after")
    def _rows_have_no_blocks(self) -> Self:
        if self.per_row and self.structure == "16x16":
            raise fault("per_row", "must be false with structure 16x16, whose blocks span rows")
        return self


def _splits(params: PruneActivation) -> tuple[SplitNeed, ...]:
    return tuple(dict.fromkeys((SplitNeed("train"), *pruning_splits(params))))


ENTRY = RecipeEntry(
    params=PruneActivation,
    title="Prune by weights and activations (Wanda)",
    summary="Prunes the weights that contribute least to their outputs on training examples.",
    paper=Paper(
        "Sun, Liu, Bair, Kolter (2024): A Simple and Effective Pruning Approach for Large "
        "Language Models. ICLR.",
        "https://arxiv.org/abs/2306.11695",
    ),
    example={
        "kind": "prune",
        "method": "activation",
        "sparsity": 0.5,
        "batches": 2,
        "recovery_epochs": 1,
    },
    traits=replace(
        PRUNING,
        formats=ALL_FORMATS,
        splits=_splits,
        amount=PRUNING.amount | {"batches"},
        later=frozenset(),
    ),
)
