"""Parameters of pruning by blocks after a reweighted group lasso (E.T.)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import REGULARIZED, Regularized
from pricetag.recipes.shapes import ALL_FORMATS


class PruneEt(Regularized):
    """Train with a reweighted group lasso over blocks of 16 x 16, prune blocks, and retrain.

    Loss: the task's + penalty * the sum over blocks of norm / (norm at the last refresh +
    epsilon). Then the blocks up to a percentile of the norms in their matrix are set to zero.

    Source: Chen et al. 2021, section 4, doi:10.1145/3458817.3476138.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["et"]
    sparsity: float = Field(gt=0, lt=1, description="Share of each matrix's blocks set to zero.")
    penalty: float = Field(1e-4, ge=0, le=1e6, description="Weight of the group lasso.")
    epsilon: float = Field(1e-3, gt=0, le=1e3, description="Keeps norm / (norm + epsilon) finite.")
    refresh_epochs: int = Field(
        3, ge=1, le=10_000, description="Epochs between updates of the weights of the blocks."
    )


ENTRY = RecipeEntry(
    params=PruneEt,
    title="Prune blocks of 16 x 16 (E.T.)",
    summary="Trains with a reweighted group lasso over blocks, prunes blocks and retrains.",
    paper=Paper(
        "Chen, Huang, Pandey, Li, Gao, Zheng, Ding, Liu (2021): E.T.: Re-Thinking Self-Attention "
        "for Transformer Models on GPUs. SC.",
        "https://doi.org/10.1145/3458817.3476138",
    ),
    example={
        "kind": "prune",
        "method": "et",
        "sparsity": 0.5,
        "epochs": 1,
        "recovery_epochs": 0.25,
    },
    traits=replace(
        REGULARIZED, formats=ALL_FORMATS, tuning=REGULARIZED.tuning | {"penalty", "epsilon"}
    ),
)
