"""Parameters of structured pruning of a question-answering model."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed
from pricetag.recipes.pruning import WhileDistilling, fault, wrong_share
from pricetag.recipes.shapes import FORMATS_WITH_UNITS, MisfitError, Shape, require_whole_layers
from pricetag.recipes.training import RECOVERY, Recovery, evaluation_splits

OF_L0 = ("gate_epochs", "gate_learning_rate", "head_penalty", "neuron_penalty", "drop_rate")


class PruneQa(WhileDistilling, Recovery):
    """Cut attention heads and feed-forward neurons out of a question-answering model, and retrain.

    Each head and each neuron has a gate. Criteria: at random; gain, the mean over the training
    examples of |dL / dgate| with gates of 1; or gates trained with a hard-concrete L0 penalty.

    Source: McCarley, Chakravarti, Sil 2019, Structured Pruning of a BERT-based Question Answering
    Model, section 3, arXiv:1910.06360; Louizos, Welling, Kingma 2018, Learning Sparse Neural
    Networks through L0 Regularization, section 2, arXiv:1712.01312.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["qa"]
    criterion: Literal["l0", "gain", "random"] = Field(
        "l0", description="Trained gates, gradients of gates of 1, or at random."
    )
    heads: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the attention heads to remove. Default: those whose gate is 0 with "
        "l0, none with gain and random.",
    )
    neurons: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the feed-forward neurons to remove. Default: those whose gate is 0 "
        "with l0, none with gain and random.",
    )
    gate_epochs: float | None = Field(
        None, gt=0, le=10_000, description="l0: epochs of training the gates. Default: 1."
    )
    gate_learning_rate: float | None = Field(
        None, gt=0, le=100, description="l0: peak learning rate of log(alpha). Default: 0.1."
    )
    head_penalty: float | None = Field(
        None, ge=0, le=1e6, description="l0: lambda of each open gate of a head. Default: 0.01."
    )
    neuron_penalty: float | None = Field(
        None, ge=0, le=1e6, description="l0: lambda of each open gate of a neuron. Default: 3e-5."
    )
    drop_rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="l0: r of the first log(alpha) = log(1 - r) - log(r). Default: 0.1.",
    )
    train_weights: bool = Field(
        False, description="l0: train the model's weights together with the gates."
    )
    examples: int | None = Field(
        None, ge=1, le=10**9, description="gain: number of training examples. Default: all."
    )

    @model_validator(mode="after")
    def _options_belong_to_the_criterion(self) -> Self:
        if self.criterion != "l0":
            for option in (*OF_L0, "train_weights"):
                if getattr(self, option) not in (None, False):
                    raise fault(option, "belongs to criterion: l0; remove it")
            if not self.heads and not self.neurons:
                raise fault(
                    "heads",
                    f"is missing: criterion {self.criterion} needs a share of the heads or of the "
                    "neurons",
                )
        elif self.heads == 0 and self.neurons == 0:
            raise fault("heads", "may not be 0 with neurons: 0: nothing would be removed")
        if self.criterion != "gain" and self.examples is not None:
            raise fault("examples", "belongs to criterion: gain; remove it")
        return self

    @model_validator(mode="after")
    def _distillation_trains(self) -> Self:
        if self.distill and self.criterion != "l0" and self.recovery_epochs == 0:
            raise fault("distill", "needs training: recovery_epochs above 0, or criterion: l0")
        return self

    @property
    def epochs_of_gates(self) -> float:
        """Epochs in which the gates are trained."""
        if self.criterion != "l0":
            return 0.0
        return 1.0 if self.gate_epochs is None else self.gate_epochs

    @property
    def rate_of_gates(self) -> float:
        """Peak learning rate of log(alpha)."""
        return 0.1 if self.gate_learning_rate is None else self.gate_learning_rate

    @property
    def first_drop_rate(self) -> float:
        """Rate from which log(alpha) starts."""
        return 0.1 if self.drop_rate is None else self.drop_rate

    @property
    def penalties(self) -> dict[str, float]:
        """Lambda of the gates of heads and of neurons."""
        heads, neurons = self.head_penalty, self.neuron_penalty
        return {
            "heads": 0.01 if heads is None else heads,
            "neurons": 3e-5 if neurons is None else neurons,
        }


def _reshape(params: PruneQa, shape: Shape) -> Shape:
    """Check that some units leave and one a layer remains, as far as the shape is known."""
    require_whole_layers(shape)
    after = shape.of_format("sliced")
    if params.neurons != 0 and (params.neurons is not None or params.criterion == "l0"):
        after = replace(after, intermediate_size=None)
    if shape.layers is None:
        return after
    for option, share, size in (
        ("heads", params.heads, shape.heads),
        ("neurons", params.neurons, shape.intermediate_size),
    ):
        if share is not None and size is not None:
            problem = wrong_share(option, share, size * shape.layers, shape.layers)
            if problem is not None:
                raise MisfitError(option, problem, "wrong-share-of-units")
    return after


def _splits(params: PruneQa) -> tuple[SplitNeed, ...]:
    trains = params.criterion != "random" or params.recovery_epochs > 0
    return (*((SplitNeed("train"),) if trains else ()), *evaluation_splits(params))


ENTRY = RecipeEntry(
    params=PruneQa,
    title="Prune heads and neurons of a question-answering model",
    summary="Cuts heads and feed-forward neurons out of a question-answering model, and retrains.",
    paper=Paper(
        "McCarley, Chakravarti, Sil (2019): Structured Pruning of a BERT-based Question Answering "
        "Model.",
        "https://arxiv.org/abs/1910.06360",
    ),
    example={
        "kind": "prune",
        "method": "qa",
        "criterion": "l0",
        "neurons": 0.5,
        "gate_epochs": 2,
        "recovery_epochs": 1,
    },
    traits=replace(
        RECOVERY,
        formats=FORMATS_WITH_UNITS,
        tasks=frozenset({"question_answering"}),
        splits=_splits,
        work=lambda params, devices: Work(epochs=params.epochs_of_gates + params.recovery_epochs),
        counts_whole=lambda params: params.epochs_of_gates == 0,
        reshape=_reshape,
        amount=RECOVERY.amount | {"gate_epochs", "examples"},
        tuning=RECOVERY.tuning
        | {"gate_learning_rate", "head_penalty", "neuron_penalty", "drop_rate"}
        | {"alpha", "temperature"},
    ),
)
