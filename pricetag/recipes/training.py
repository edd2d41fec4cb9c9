"""Training: the options and the traits of every stage that trains."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.base import Params, Seed, Split, StageParams
from pricetag.recipes.kinds import SplitNeed, Traits
from pricetag.recipes.shapes import MisfitError
from pricetag.recipes.tasks import TaskEntry


class Optimisation(StageParams):
    """Options of the optimization, shared by all stages that train."""

    batch_size: int = Field(32, ge=1, le=65_536, description="Examples per step and device.")
    learning_rate: float = Field(5e-5, gt=0, le=10, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(
        0.0, ge=0, le=1, description="Decoupled weight decay of AdamW; not of biases and norms."
    )
    warmup_ratio: float = Field(0.0, ge=0, le=1, description="Share of the steps for warm-up.")
    warmup_steps: int | None = Field(
        None, ge=0, le=10**9, description="Number of warm-up steps, instead of warmup_ratio."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="Schedule of the learning rate after the warm-up."
    )
    gradient_accumulation: int = Field(
        1, ge=1, le=65_536, description="Number of batches per optimizer step."
    )
    max_grad_norm: float = Field(
        1.0, ge=0, le=1e6, description="Norm to which gradients are clipped; 0 for no clipping."
    )
    seed: Seed = Field(
        0, description="Random seed of initialization, order of the examples and dropout."
    )
    max_length: int = Field(
        128, ge=4, le=8192, description="Maximum number of tokens; longer texts are cut."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Precision of the computation; auto: bf16 where it is faster."
    )
    group_by_length: bool = Field(True, description="Batch texts of similar length together.")
    evaluate: bool = Field(True, description="Evaluate afterwards, in a separate stage.")
    checkpoint_every_s: float = Field(
        60.0, ge=0, le=86_400, description="Seconds between checkpoints; 0 writes one each step."
    )
    checkpoint_after_s: float = Field(
        30.0, ge=0, le=86_400, description="Seconds of training before the first checkpoint."
    )

    @property
    def seed_of_order(self) -> int:
        """Seed of the order of the examples."""
        return self.seed


class Recovery(Optimisation):
    """Compression of a model, and training in which it recovers."""

    recovery_epochs: float = Field(
        1.0, ge=0, le=10_000, description="Epochs of training afterwards; 0 for none."
    )


class MidEvaluation(Params):
    """Evaluation during training, included in the training stage's price."""

    every_steps: int | None = Field(None, ge=1, le=10**9, description="Steps between evaluations.")
    every_epochs: int | None = Field(
        None, ge=1, le=10_000, description="Epochs between evaluations; default 1."
    )
    keep_best: bool = Field(True, description="End with the best weights instead of the last.")
    patience: int | None = Field(
        None, ge=1, le=10_000, description="End after N evaluations without improvement."
    )
    metric: str | None = Field(
        None, max_length=50, description="Metric to compare. Default: the task's first metric."
    )
    split: Split = Field("validation", description="Split to evaluate on.")
    batch_size: int = Field(64, ge=1, le=65_536, description="Examples per batch.")

    @model_validator(mode="after")
    def _one_interval(self) -> Self:
        if self.every_steps is not None and self.every_epochs is not None:
            raise PydanticCustomError(
                "one_interval",
                "use every_steps or every_epochs, not both",
                {"field": "every_epochs"},
            )
        return self


class FullTraining(Optimisation):
    """Training for a number of epochs or of steps."""

    keep_sparsity: bool | None = Field(
        None,
        description="Keep pruned weights at zero during training. Default: true for a pruned "
        "model; false lets them grow back.",
    )
    mid_evaluation: MidEvaluation | None = Field(
        None, description="Evaluate during training. Default: only afterwards."
    )

    epochs: float | None = Field(None, gt=0, le=10_000, description="Number of epochs. Default: 1.")
    max_steps: int | None = Field(
        None, ge=1, le=10**9, description="Number of optimizer steps, instead of epochs."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.max_steps is not None:
            raise PydanticCustomError(
                "one_length",
                "use epochs or max_steps, not both",
                {"field": "max_steps"},
            )
        return self

    @property
    def effective_epochs(self) -> float:
        """Number of epochs if ``max_steps`` does not limit them."""
        return 1.0 if self.epochs is None else self.epochs


def examples_per_step(params: Optimisation, devices: int) -> int:
    """Examples per optimizer step, over all devices."""
    return params.batch_size * params.gradient_accumulation * max(devices, 1)


def training_work(params: FullTraining, devices: int) -> Work:
    """The requested epochs or steps."""
    if params.max_steps is not None:
        return Work(examples=float(params.max_steps * examples_per_step(params, devices)))
    return Work(epochs=params.effective_epochs)


def evaluation_splits(params: Optimisation) -> tuple[SplitNeed, ...]:
    """The validation split, unless ``evaluate`` is false."""
    return (SplitNeed("validation", "evaluate"),) if params.evaluate else ()


def recovery_splits(params: Recovery) -> tuple[SplitNeed, ...]:
    """The split for training, if there is any, and for the evaluation afterwards."""
    recovery = (SplitNeed("train"),) if params.recovery_epochs > 0 else ()
    return (*recovery, *evaluation_splits(params))


def training_splits(params: FullTraining) -> tuple[SplitNeed, ...]:
    """The splits for training, and for evaluation during training and afterwards."""
    during = params.mid_evaluation
    middle = () if during is None else (SplitNeed(during.split),)
    return (SplitNeed("train"), *middle, *evaluation_splits(params))


def metric_is_reported(params: FullTraining, task: TaskEntry) -> MisfitError | None:
    """Why an evaluation during training cannot be judged by the metric that the stage names."""
    during = params.mid_evaluation
    if during is None or during.metric is None or during.metric in task.metrics:
        return None
    return MisfitError(
        "mid_evaluation.metric",
        f"'{during.metric}' is not a metric of {task.shown}; use {' or '.join(task.metrics)}",
    )


AMOUNT = frozenset({"batch_size", "gradient_accumulation"})
TUNING = frozenset(
    {
        *("learning_rate", "weight_decay", "warmup_ratio", "warmup_steps", "schedule"),
        *("max_grad_norm", "checkpoint_every_s", "checkpoint_after_s"),
    }
)

TRAINING: Traits[Any] = Traits(
    group="training",
    trains=True,
    all_ranks=True,
    evaluates_after=True,
    makes_model=True,
    splits=training_splits,
    work=training_work,
    counts_whole=lambda params: True,
    check_task=metric_is_reported,
    amount=AMOUNT | {"epochs", "max_steps"},
    tuning=TUNING,
    seeds=frozenset({"seed"}),
)
"""Traits of kinds that train for epochs or steps; ``dataclasses.replace`` adapts them."""

RECOVERY: Traits[Any] = Traits(
    group="compression",
    trains=True,
    all_ranks=True,
    evaluates_after=True,
    makes_model=True,
    splits=recovery_splits,
    work=lambda params, devices: Work(epochs=params.recovery_epochs),
    counts_whole=lambda params: True,
    amount=AMOUNT | {"recovery_epochs"},
    tuning=TUNING,
    seeds=frozenset({"seed"}),
)
"""Traits of kinds that compress a model at once and then let it recover."""
