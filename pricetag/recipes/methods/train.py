"""Parameters of fine-tuning, or of training from scratch."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.base import Seed
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError
from pricetag.recipes.training import AMOUNT, TRAINING, FullTraining, examples_per_step
from pricetag.recipes.upstream import FromRun


class Train(FullTraining):
    """Fine-tune the run's model on its task, or train it from scratch.

    Source: Devlin et al. 2019, BERT, section 3.2, doi:10.18653/v1/N19-1423.
    """

    kind: Literal["train"] = "train"
    order_seed: Seed | None = Field(
        None, description="Random seed of the order of the examples. Default: seed."
    )
    start_at: float | None = Field(
        None,
        gt=0,
        le=10**9,
        description="Continue the training of the run that the model comes from, which ended at "
        "this epoch (or step, with max_steps) by its stop_at: with its optimizer, schedule, random "
        "state and order of examples. Default: begin a training.",
    )
    stop_at: float | None = Field(
        None,
        gt=0,
        le=10**9,
        description="End at this epoch (or step, with max_steps) of the training, before its end, "
        "and keep what another run needs to continue it. The schedule is that of the whole "
        "training. Default: train to the end.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        start, stop = self.start_at or 0.0, self.stop_at or self.length
        if start >= stop:
            raise PydanticCustomError(
                "part",
                "must be before {stop}, where the training ends (got {start})",
                {"field": "start_at", "stop": f"{stop:g}", "start": f"{start:g}"},
            )
        if stop > self.length:
            raise PydanticCustomError(
                "part",
                "must be at most {length}, the length of the training (got {stop})",
                {"field": "stop_at", "length": f"{self.length:g}", "stop": f"{stop:g}"},
            )
        during = self.mid_evaluation
        is_part = self.start_at is not None or self.stop_at is not None
        if is_part and during is not None and during.keep_best:
            raise PydanticCustomError(
                "part",
                "must be false in a part of a training, which continues from its last weights",
                {"field": "mid_evaluation.keep_best"},
            )
        return self

    @property
    def seed_of_order(self) -> int:
        """Seed of the order of the examples."""
        return self.seed if self.order_seed is None else self.order_seed

    @property
    def length(self) -> float:
        """Length of the whole training and of its schedule, in epochs, or steps with max_steps."""
        return self.effective_epochs if self.max_steps is None else float(self.max_steps)


def _work(params: Train, devices: int) -> Work:
    """The epochs or steps of the part that the stage trains."""
    stop = params.length if params.stop_at is None else params.stop_at
    amount = stop - (params.start_at or 0.0)
    if params.max_steps is not None:
        return Work(examples=amount * examples_per_step(params, devices))
    return Work(epochs=amount)


def _continues_a_run(params: Train, model: object) -> MisfitError | None:
    if params.start_at is None or isinstance(model, FromRun):
        return None
    return MisfitError("start_at", "needs the model of an earlier run: model: {run: ID}")


ENTRY = RecipeEntry(
    params=Train,
    title="Fine-tune, or train from scratch",
    summary="Trains a model: to classify, score, predict words or answer questions.",
    paper=Paper(
        "Devlin, Chang, Lee, Toutanova (2019): BERT: Pre-training of Deep Bidirectional "
        "Transformers for Language Understanding. NAACL.",
        "https://doi.org/10.18653/v1/N19-1423",
    ),
    example={
        "kind": "train",
        "epochs": 1,
        "batch_size": 32,
        "learning_rate": 1e-4,
        "seed": 0,
    },
    traits=replace(
        TRAINING,
        formats=ALL_FORMATS,
        starts_from_scratch=True,
        continues=True,
        work=_work,
        check_model=_continues_a_run,
        amount=AMOUNT | {"epochs", "max_steps", "start_at", "stop_at"},
        seeds=TRAINING.seeds | {"order_seed"},
        later=TRAINING.later | {"order_seed", "start_at", "stop_at"},
    ),
)
