"""Unstructured pruning: the options that score, scope, schedule and structure share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.base import Params
from pricetag.recipes.kinds import SplitNeed, Traits
from pricetag.recipes.shapes import MisfitError, Shape
from pricetag.recipes.training import (
    RECOVERY,
    TRAINING,
    FullTraining,
    Recovery,
    examples_per_step,
    recovery_splits,
)


class Pruning(Recovery):
    """Options of every method that prunes a model by a score, with recovery training.

    Prunable are query, key, value, attention.output.dense, intermediate.dense and
    output.dense of each layer; embeddings, LayerNorm, biases, pooler and head stay.
    """

    sparsity: float = Field(gt=0, lt=1, description="Share of the prunable weights set to zero.")
    scope: Literal["global", "per_matrix"] = Field(
        "global", description="One ranking over all matrices, or one per matrix."
    )
    structure: Literal["unstructured", "2:4", "16x16"] = Field(
        "unstructured",
        description="Single weights, two of every four neighboring columns, or blocks of 16 x 16.",
    )
    mode: Literal["one_shot", "iterative", "cubic"] = Field(
        "one_shot", description="At once, in rounds, or along a cubic ramp of the recovery."
    )
    rounds: int = Field(1, ge=1, le=100, description="Number of rounds in iterative mode.")
    recovery_epochs: float = Field(
        0.0, ge=0, le=10_000, description="Epochs of recovery after each pruning; 0 for none."
    )
    ramp_start: float = Field(
        0.0, ge=0, lt=1, description="Share of the steps before the ramp of cubic mode."
    )
    ramp_end: float = Field(
        0.8, gt=0, le=1, description="Share of the steps after which cubic mode stops pruning."
    )
    mask_every: int = Field(
        10, ge=1, le=10**6, description="Steps between two prunings in cubic mode."
    )
    max_drop: float | None = Field(
        None,
        ge=0,
        le=1e6,
        description="Iterative mode ends before the task's first metric on the validation split "
        "falls by more than this.",
    )
    target_bytes: int | None = Field(
        None,
        ge=1,
        description="Iterative mode ends at this size: a bit for each weight, and the nonzero "
        "values.",
    )

    @model_validator(mode="after")
    def _rounds_fit_the_mode(self) -> Self:
        if self.mode != "iterative" and self.rounds != 1:
            raise fault(
                "rounds", f"{self.mode} has one round; use mode: iterative for {self.rounds}"
            )
        if self.mode == "iterative" and self.rounds < 2:
            raise fault("rounds", "iterative pruning needs two rounds or more")
        for limit in ("max_drop", "target_bytes"):
            if self.mode != "iterative" and getattr(self, limit) is not None:
                raise fault(limit, "needs mode: iterative with two rounds or more")
        return self

    @model_validator(mode="after")
    def _ramp_fits_the_mode(self) -> Self:
        if self.mode == "cubic" and self.recovery_epochs == 0:
            raise fault("recovery_epochs", "must be above 0 in cubic mode: it prunes in training")
        if self.ramp_start >= self.ramp_end:
            raise fault(
                "ramp_start", f"must be less than ramp_end {self.ramp_end:g} ({self.ramp_start:g})"
            )
        return self

    @model_validator(mode="after")
    def _structure_fits(self) -> Self:
        if self.structure != "2:4":
            return self
        if self.sparsity != 0.5:
            raise fault("sparsity", "must be 0.5 with structure 2:4, which keeps two of four")
        if self.mode != "one_shot":
            raise fault("mode", "must be one_shot with structure 2:4")
        return self


class WhileDistilling(Params):
    """Options of methods that may also learn from a teacher's logits while they prune.

    Loss: alpha * CE + (1 - alpha) * T^2 * KL(teacher_T || student_T), as in ``distill``.
    """

    distill: bool = Field(False, description="Learn from the logits of the unpruned model, too.")
    alpha: float | None = Field(
        None, ge=0, le=1, description="distill: weight of the labels' own loss. Default: 0.5."
    )
    temperature: float | None = Field(None, gt=0, le=100, description="distill: T. Default: 2.")

    @model_validator(mode="after")
    def _options_belong_to_distillation(self) -> Self:
        for option in ("start", "alpha", "temperature"):
            if not self.distill and getattr(self, option, None) is not None:
                raise fault(option, "belongs to distill: true; remove it")
        return self

    @property
    def weight_of_labels(self) -> float:
        """Weight of the labels' own loss; in distillation the teacher has the rest."""
        if not self.distill:
            return 1.0
        return 0.5 if self.alpha is None else self.alpha

    @property
    def softness(self) -> float:
        """T of the distillation."""
        return 2.0 if self.temperature is None else self.temperature


def fault(field: str, message: str) -> PydanticCustomError:
    """An error of an option, shown under its name."""
    return PydanticCustomError(field, "{what}", {"what": message, "field": field})


def pruned_shape(params: Pruning, shape: Shape) -> Shape:
    """The shape of the model, which pruning does not change.

    Raises:
        MisfitError: A matrix does not have a multiple of four columns for 2:4.
    """
    if params.structure == "2:4":
        _require_fours(shape)
        for name in ("hidden_size", "intermediate_size"):
            columns = getattr(shape, name)
            if columns is not None and columns % 4:
                raise MisfitError(
                    "structure",
                    f"2:4 needs a multiple of 4 columns; the model's {name} is {columns}",
                    "bad-structure",
                )
    return shape


def _require_fours(shape: Shape) -> None:
    """Reject matrices whose columns are known only when an earlier stage has decided them."""
    problem = None
    if "low_rank" in shape.formats:
        problem = "factors have as many columns as their rank; prune single weights instead"
    elif "sliced" in shape.formats:
        head = shape.hidden_size // shape.heads if shape.hidden_size and shape.heads else None
        if shape.intermediate_size is None or (head is not None and head % 4):
            problem = "layers have as many as units are left; cut heads and neurons out afterwards"
    if problem is not None:
        raise MisfitError(
            "structure", f"2:4 needs a multiple of 4 columns, but {problem}", "bad-structure"
        )


def pruning_splits(params: Pruning) -> tuple[SplitNeed, ...]:
    """The splits for recovery, for the limit of the drop, and for the evaluation afterwards."""
    during = (SplitNeed("validation"),) if params.max_drop is not None else ()
    return (*during, *recovery_splits(params))


def pruning_work(params: Pruning, devices: int) -> Work:
    """The epochs of recovery in all rounds."""
    return Work(epochs=params.recovery_epochs * params.rounds)


PRUNING: Traits[Any] = replace(
    RECOVERY,
    splits=pruning_splits,
    work=pruning_work,
    counts_whole=lambda params: params.rounds == 1,
    reshape=pruned_shape,
    later=frozenset(
        {
            *("structure", "ramp_start", "ramp_end", "mask_every"),
            *("max_drop", "target_bytes"),
        }
    ),
)
"""Traits of kinds that prune by a score; ``dataclasses.replace`` adapts them."""


class Regularized(FullTraining):
    """Options of methods that train with a penalty, prune, and retrain the rest."""

    recovery_epochs: float = Field(
        1.0, gt=0, le=10_000, description="Epochs of training with fixed masks, after pruning."
    )


def _regularized_work(params: Regularized, devices: int) -> Work:
    if params.max_steps is not None:
        return Work(
            epochs=params.recovery_epochs,
            examples=float(params.max_steps * examples_per_step(params, devices)),
        )
    return Work(epochs=params.effective_epochs + params.recovery_epochs)


REGULARIZED: Traits[Any] = replace(
    TRAINING,
    group="compression",
    starts_from_scratch=True,
    work=_regularized_work,
    counts_whole=lambda params: False,
    amount=TRAINING.amount | {"recovery_epochs"},
)
"""Traits of kinds that train with a penalty, prune, and retrain."""


def units_removed(share: float, total: int) -> int:
    """Number of units that a share is, rounded down.

    Args:
        share: Share of the units.
        total: Number of units.
    """
    return int(share * total + 1e-9)


def wrong_share(option: str, share: float, total: int, layers: int) -> str | None:
    """Why a share of the units cannot be removed; None if it can.

    Args:
        option: ``heads`` or ``neurons``.
        share: Share to remove; 0 for none.
        total: Number of units in all layers.
        layers: Number of layers; one unit of each remains.
    """
    count = units_removed(share, total)
    if share and count == 0:
        return f"{share} of {total} {option} is less than one; use {1 / total:.4f} or more"
    if count > total - layers:
        most = (total - layers) / total
        return (
            f"one of the {option} must remain in each layer; use at most {most:.4f} of {total} "
            f"{option}"
        )
    return None
