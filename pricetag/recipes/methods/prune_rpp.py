"""Parameters of reweighted proximal pruning."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import REGULARIZED, Regularized
from pricetag.recipes.shapes import ALL_FORMATS


class PruneRpp(Regularized):
    """Shrink the encoder's weights by a reweighted L1 norm in training, then prune and retrain.

    After each step of AdamW: w <- sign(w) * max(|w| - lr * gamma * alpha, 0), with
    alpha = 1 / (|w| + epsilon), refreshed every ``refresh_every`` steps.

    Source: Guo et al. 2019, section 4, arXiv:1909.12486.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["rpp"]
    sparsity: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of the prunable weights set to zero after the penalty. Default: those "
        "that the penalty has set to zero.",
    )
    scope: Literal["global", "per_matrix"] = Field(
        "global", description="One ranking over all matrices, or one per matrix."
    )
    gamma: float = Field(1e-3, ge=0, le=1e6, description="Weight of the penalty.")
    epsilon: float = Field(1e-3, gt=0, le=1e3, description="Keeps 1 / (|w| + epsilon) finite.")
    penalty: Literal["reweighted", "uniform"] = Field(
        "reweighted", description="The paper's penalty, or the plain L1 norm with alpha = 1."
    )
    refresh_every: int = Field(100, ge=1, le=10**9, description="Steps between updates of alpha.")


ENTRY = RecipeEntry(
    params=PruneRpp,
    title="Prune by reweighted L1 (RPP)",
    summary="Shrinks weights by a reweighted L1 norm in training, then prunes and retrains.",
    paper=Paper(
        "Guo, Liu, Wang, Chen, Lin, Ren, Xing, Zhang, Wang (2019): Reweighted Proximal Pruning "
        "for Large-Scale Language Representation.",
        "https://arxiv.org/abs/1909.12486",
    ),
    example={
        "kind": "prune",
        "method": "rpp",
        "sparsity": 0.5,
        "epochs": 1,
        "gamma": 0.1,
        "recovery_epochs": 0.25,
    },
    traits=replace(
        REGULARIZED, formats=ALL_FORMATS, tuning=REGULARIZED.tuning | {"gamma", "epsilon"}
    ),
)
