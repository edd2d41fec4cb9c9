"""Parameters of SparseBERT."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.recipes.data import FromScratch
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import fault
from pricetag.recipes.shapes import (
    FORMATS_WITH_STATES,
    MisfitError,
    Shape,
    require_plain_teacher,
    require_states,
)
from pricetag.recipes.training import TRAINING, FullTraining


class PruneSparsebert(FullTraining):
    """Prune the pretrained model while it learns from the current, fine-tuned one.

    Loss: differences of hidden states and of attention scores, and cross-entropy with the
    teacher's classes, with equal weights and without labels. Every matrix is pruned by magnitude
    along a cubic ramp over the whole training.

    Source: Xu, Yen, Zhao, Xiao 2021, section 3, arXiv:2104.08682.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["sparsebert"]
    sparsity: float = Field(
        0.95, gt=0, lt=1, description="Share of each prunable matrix set to zero."
    )
    updates: int = Field(100, ge=1, le=10**6, description="Number of prunings along the ramp.")
    ramp_start: float = Field(0.0, ge=0, lt=1, description="Share of the steps before the ramp.")
    ramp_end: float = Field(
        1.0, gt=0, le=1, description="Share of the steps after which nothing more is pruned."
    )
    start: Literal["pretrained", "teacher"] = Field(
        "pretrained",
        description="Weights that the student starts from: those of the run's model, or of the "
        "teacher that was trained from it.",
    )

    @model_validator(mode="after")
    def _ramp_rises(self) -> Self:
        if self.ramp_start >= self.ramp_end:
            raise fault("ramp_start", f"must be less than ramp_end {self.ramp_end:g}")
        return self


def _check_model(params: PruneSparsebert, model: object) -> MisfitError | None:
    if params.start == "pretrained" and isinstance(model, FromScratch):
        return MisfitError(
            "start", "the run's model has random weights; use start: teacher, or a trained model"
        )
    return None


def _reshape(params: PruneSparsebert, shape: Shape) -> Shape:
    start = shape if params.start == "teacher" else shape.of_run or Shape()
    require_plain_teacher(start)  # the student has the teacher's shape, and weights of the start
    require_states(shape, "teacher", attention=True)
    for option, size, own in (
        ("hidden_size", shape.hidden_size, start.hidden_size),
        ("num_attention_heads", shape.heads, start.heads),
    ):
        if size is not None and own is not None and size != own:
            raise MisfitError(
                "start",
                f"the run's model has {option} {own} and its teacher {size}: their states are "
                "compared; use start: teacher",
            )
    return replace(shape, formats=frozenset())


ENTRY = RecipeEntry(
    params=PruneSparsebert,
    title="Prune while distilling (SparseBERT)",
    summary="Prunes the pretrained model while it learns from the fine-tuned one.",
    paper=Paper(
        "Xu, Yen, Zhao, Xiao (2021): Rethinking Network Pruning under the Pre-train and "
        "Fine-tune Paradigm. NAACL.",
        "https://arxiv.org/abs/2104.08682",
    ),
    example={
        "kind": "prune",
        "method": "sparsebert",
        "sparsity": 0.5,
        "start": "teacher",
        "epochs": 1,
    },
    traits=replace(
        TRAINING,
        formats=FORMATS_WITH_STATES,
        group="compression",
        tasks=frozenset({"classification", "regression"}),
        check_model=_check_model,
        reshape=_reshape,
    ),
)
