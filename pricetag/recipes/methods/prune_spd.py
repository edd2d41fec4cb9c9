"""Parameters of Sparse Progressive Distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import fault
from pricetag.recipes.shapes import Shape, require_plain_teacher
from pricetag.recipes.training import TRAINING, FullTraining


class PruneSpd(FullTraining):
    """Prune a copy of the current, fine-tuned model while its layers are grafted onto the original.

    In each forward pass a layer of the original is replaced, with probability p, by the pruned
    one of the same place. The first part of the training prunes every matrix by magnitude along
    a cubic ramp, with a constant p; in the rest p rises to 1. Loss: differences of hidden states
    and of attention probabilities, and cross-entropy with the original's classes, with equal
    weights and without labels.

    Source: Huang, Zhou, Wang, Xu, Yu, Zhang, Ding 2022, section 3, arXiv:2110.08190.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["spd"]
    sparsity: float = Field(
        0.9, gt=0, lt=1, description="Share of each prunable matrix set to zero."
    )
    updates: int = Field(12, ge=1, le=10**6, description="Number of prunings along the ramp.")
    ramp_end: float = Field(
        0.5, gt=0, le=1, description="Share of the steps after which nothing more is pruned."
    )
    final_update: bool = Field(
        True,
        description="Prune at the end of the ramp too, to the full sparsity. The released code "
        "does not (false): it ends with the sparsity of the update before.",
    )
    graft_rate: float = Field(
        0.8, gt=0, le=1, description="Probability of a pruned layer while weights are pruned."
    )
    graft_base: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Probability in the first step after the ramp; ignored if graft_rate is 1. "
        "Default: graft_rate.",
    )
    graft_slope: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Growth of the probability in each step after the ramp. Default: it is 1 from "
        "halfway between the ramp and the end of the training.",
    )

    @model_validator(mode="after")
    def _ramp_prunes(self) -> Self:
        if self.updates == 1 and not self.final_update:
            raise fault(
                "final_update",
                "must be true with updates: 1, or nothing is pruned; use more updates",
            )
        if self.ramp_end == 1:
            for option in ("graft_base", "graft_slope"):
                if getattr(self, option) is not None:
                    raise fault(
                        option, "needs steps after the ramp; use ramp_end below 1 or remove it"
                    )
        return self


def _reshape(params: PruneSpd, shape: Shape) -> Shape:
    require_plain_teacher(shape)
    return shape


ENTRY = RecipeEntry(
    params=PruneSpd,
    title="Prune grafted layers while distilling (SPD)",
    summary="Prunes a copy of the model whose layers are grafted onto the original at random.",
    paper=Paper(
        "Huang, Zhou, Wang, Xu, Yu, Zhang, Ding (2022): Sparse Progressive Distillation: "
        "Resolving Overfitting under Pretrain-and-Finetune Paradigm. ACL.",
        "https://arxiv.org/abs/2110.08190",
    ),
    example={"kind": "prune", "method": "spd", "sparsity": 0.5, "updates": 2, "epochs": 1},
    traits=replace(
        TRAINING,
        formats=frozenset(),
        group="compression",
        tasks=frozenset({"classification", "regression"}),
        evaluates_train=True,
        reshape=_reshape,
        tuning=TRAINING.tuning | {"graft_rate", "graft_base", "graft_slope"},
    ),
)
