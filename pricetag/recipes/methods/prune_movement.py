"""Parameters of movement pruning."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.recipes.data import FromScratch
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import WhileDistilling, fault
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError, Shape, require_plain_teacher
from pricetag.recipes.training import TRAINING, FullTraining


class PruneMovement(WhileDistilling, FullTraining):
    """Fine-tune a model and prune the weights that move towards zero, by learned scores.

    Hard: the entries with the best scores stay, a share that falls along a cubic ramp. Soft: the
    entries with sigmoid(score) above a rising threshold stay, and a penalty lowers the scores.
    With ``distill`` the stage's model is the teacher, and the pruned one learns its logits too.

    Source: Sanh, Wolf, Rush 2020, sections 3 to 5 (distillation: section 7), arXiv:2005.07683.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["movement"]
    variant: Literal["hard", "soft"] = Field(
        "hard", description="A number of weights that stay, or a threshold of their scores."
    )
    sparsity: float | None = Field(
        None, gt=0, lt=1, description="Hard: share of the prunable weights set to zero; required."
    )
    scope: Literal["global", "per_matrix"] = Field(
        "per_matrix", description="Hard: one ranking over all matrices, or one per matrix."
    )
    threshold: float | None = Field(
        None, gt=0, lt=1, description="Soft: threshold of sigmoid(score). Default: 0.1."
    )
    penalty: float | None = Field(
        None, ge=0, le=1e9, description="Soft: weight of the mean sigmoid(score). Default: 400."
    )
    learning_rate: float = Field(3e-5, gt=0, le=10, description="Peak learning rate of AdamW.")
    score_learning_rate: float = Field(
        1e-2, gt=0, le=100, description="Peak learning rate of the scores."
    )
    warmup_ratio: float = Field(0.1, ge=0, le=1, description="Share of the steps for warm-up.")
    ramp_start: float = Field(0.1, ge=0, lt=1, description="Share of the steps before the ramp.")
    ramp_end: float = Field(
        0.8, gt=0, le=1, description="Share of the steps after which the masks' size is final."
    )
    freeze_embeddings: bool = Field(True, description="Leave the embeddings untrained.")
    start: Literal["pretrained", "teacher"] | None = Field(
        None,
        description="distill: weights to prune, those of the run's model or those of the teacher. "
        "Default: pretrained.",
    )

    @model_validator(mode="after")
    def _options_belong_to_the_variant(self) -> Self:
        if self.variant == "hard":
            if self.sparsity is None:
                raise fault("sparsity", "is required with variant: hard")
            for option in ("threshold", "penalty"):
                if getattr(self, option) is not None:
                    raise fault(option, "belongs to variant: soft; remove it")
        elif self.sparsity is not None:
            raise fault("sparsity", "belongs to variant: hard; soft prunes by its threshold")
        if self.ramp_start >= self.ramp_end:
            raise fault("ramp_start", f"must be less than ramp_end {self.ramp_end:g}")
        return self

    @property
    def starts_pretrained(self) -> bool:
        """Whether the weights to prune are those of the run's model, not the teacher's."""
        return self.distill and self.start != "teacher"

    @property
    def final_threshold(self) -> float:
        """Threshold of soft movement after the ramp."""
        return 0.1 if self.threshold is None else self.threshold

    @property
    def final_penalty(self) -> float:
        """Penalty of soft movement after the ramp."""
        return 400.0 if self.penalty is None else self.penalty


def _check_model(params: PruneMovement, model: object) -> MisfitError | None:
    if params.starts_pretrained and isinstance(model, FromScratch):
        return MisfitError(
            "start", "the run's model has random weights; use start: teacher, or a trained model"
        )
    return None


def _check_scratch(params: PruneMovement) -> MisfitError | None:
    if params.distill:
        return MisfitError("distill", "needs a trained model as its teacher; train one first")
    return None


def _reshape(params: PruneMovement, shape: Shape) -> Shape:
    if not params.distill:
        return shape
    student = (shape.of_run or Shape()) if params.starts_pretrained else shape
    require_plain_teacher(student)
    return replace(student, of_run=shape.of_run) if params.starts_pretrained else shape


ENTRY = RecipeEntry(
    params=PruneMovement,
    title="Prune by movement",
    summary="Fine-tunes a model and prunes the weights that move towards zero.",
    paper=Paper(
        "Sanh, Wolf, Rush (2020): Movement Pruning: Adaptive Sparsity by Fine-Tuning. NeurIPS.",
        "https://arxiv.org/abs/2005.07683",
    ),
    example={"kind": "prune", "method": "movement", "sparsity": 0.5, "epochs": 1},
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS,
        group="compression",
        starts_from_scratch=True,
        check_model=_check_model,
        check_scratch=_check_scratch,
        reshape=_reshape,
        tuning=TRAINING.tuning
        | {"score_learning_rate", "penalty", "threshold", "alpha", "temperature"},
        later=frozenset({"distill", "start", "alpha", "temperature"}),
    ),
)
