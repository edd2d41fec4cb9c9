"""Parameters of pruning by a group lasso over neurons and heads."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import REGULARIZED, Regularized
from pricetag.recipes.shapes import FORMATS_WITH_UNITS, Shape, check_family, require_whole_layers


class PruneGroupLasso(Regularized):
    """Train with a group lasso over neurons and heads, cut out the small ones, and fine-tune.

    Loss: the task's + penalty * the sum of the L2 norms of the groups, where a group is all the
    weights of a neuron or of a head. Then groups with a norm up to ``threshold`` leave the model.

    Source: Dodge, Schwartz, Peng, Smith 2019, RNN Architecture Learning with Sparse
    Regularization, section 3, arXiv:1909.03011.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["group_lasso"]
    penalty: float = Field(1e-2, gt=0, le=1e6, description="Weight of the group lasso.")
    threshold: float = Field(
        0.1, ge=0, le=1e6, description="Norm up to which a group is removed after training."
    )
    groups: Literal["both", "neurons", "heads"] = Field(
        "both", description="Groups: feed-forward neurons, attention heads, or both."
    )
    solver: Literal["gradient", "proximal"] = Field(
        "gradient",
        description="The penalty in the loss, or a proximal step of this length after each step.",
    )
    recovery_epochs: float = Field(
        1.0,
        gt=0,
        le=10_000,
        description="Epochs of fine-tuning without the penalty, after pruning.",
    )


def _reshape(params: PruneGroupLasso, shape: Shape) -> Shape:
    require_whole_layers(shape)
    inner = shape.intermediate_size if params.groups == "heads" else None
    heads = shape.heads if params.groups == "neurons" else None
    return replace(shape.of_format("sliced"), heads=heads, intermediate_size=inner)


ENTRY = RecipeEntry(
    params=PruneGroupLasso,
    title="Prune neurons and heads by a group lasso",
    summary="Trains with a group lasso over neurons and heads, cuts out small ones, fine-tunes.",
    paper=Paper(
        "Dodge, Schwartz, Peng, Smith (2019): RNN Architecture Learning with Sparse "
        "Regularization. EMNLP.",
        "https://arxiv.org/abs/1909.03011",
    ),
    example={
        "kind": "prune",
        "method": "group_lasso",
        "solver": "proximal",
        "penalty": 0.008,
        "epochs": 1,
        "recovery_epochs": 0.25,
    },
    traits=replace(
        REGULARIZED,
        formats=FORMATS_WITH_UNITS,
        check_model=check_family,
        reshape=_reshape,
        tuning=REGULARIZED.tuning | {"penalty", "solver"},
    ),
)
