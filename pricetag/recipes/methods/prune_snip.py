"""Parameters of SNIP."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed
from pricetag.recipes.pruning import PRUNING, Pruning, pruning_splits
from pricetag.recipes.shapes import ALL_FORMATS


class PruneSnip(Pruning):
    """Prune the connections to which the loss is least sensitive, before training.

    Sensitivity is |gradient * weight| on one batch or the mean over several, ranked over all
    matrices; training with the fixed mask follows.

    Source: Lee, Ajanthan, Torr 2019, section 4, algorithm 1, arXiv:1810.02340.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["snip"]
    batches: int = Field(1, ge=1, le=10_000, description="Number of batches for the scores.")
    mode: Literal["one_shot", "iterative"] = Field(
        "one_shot", description="At once, or in rounds with new scores before each."
    )
    recovery_epochs: float = Field(
        1.0, ge=0, le=10_000, description="Epochs of training after each pruning; 0 for none."
    )


def _splits(params: PruneSnip) -> tuple[SplitNeed, ...]:
    return tuple(dict.fromkeys((SplitNeed("train"), *pruning_splits(params))))


ENTRY = RecipeEntry(
    params=PruneSnip,
    title="Prune by connection sensitivity (SNIP)",
    summary="Prunes the weights to which the loss is least sensitive, then trains the rest.",
    paper=Paper(
        "Lee, Ajanthan, Torr (2019): SNIP: Single-shot Network Pruning based on Connection "
        "Sensitivity. ICLR.",
        "https://arxiv.org/abs/1810.02340",
    ),
    example={"kind": "prune", "method": "snip", "sparsity": 0.5, "recovery_epochs": 1},
    traits=replace(
        PRUNING,
        formats=ALL_FORMATS,
        starts_from_scratch=True,
        splits=_splits,
        amount=PRUNING.amount | {"batches"},
        later=frozenset(),
    ),
)
