"""Parameters of MobileBERT's distillation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import FORMATS_WITH_STATES, MisfitError, Shape, require_states
from pricetag.recipes.training import TRAINING, FullTraining, examples_per_step

SHARE = 4
"""Width of the teacher over that of the bottleneck, and over that of the embeddings."""


class DistillMobilebert(FullTraining):
    """Train a student of the same depth and width with bottlenecks, layer by layer.

    Transfer: one phase for each layer, with the loss of that layer alone: 100 * MSE of normalized
    states + cross-entropy of attention. Then masked language modeling, half on the true tokens and
    half on the teacher's predictions. No dropout.

    Source: Sun, Yu, Song, Liu, Yang, Zhou 2020, sections 3.1 to 3.5, arXiv:2004.02984.
    """

    kind: Literal["distill"] = "distill"
    method: Literal["mobilebert"]
    transfer_epochs: float = Field(
        0.5, gt=0, le=10_000, description="Epochs of the transfer of all layers, in equal shares."
    )
    hidden_weight: float = Field(100.0, ge=0, le=1e6, description="Weight of the feature maps.")
    attention_weight: float = Field(1.0, ge=0, le=1e6, description="Weight of the attention.")
    alpha: float = Field(
        0.5, ge=0, le=1, description="Weight of the true tokens in the last phase."
    )
    bottleneck_size: int | None = Field(
        None,
        ge=4,
        le=8192,
        description="Width inside a layer. Default: a quarter of the teacher's width.",
    )
    embedding_size: int | None = Field(
        None,
        ge=4,
        le=8192,
        description="Width of the word embeddings. Default: a quarter of the teacher's width.",
    )
    feedforward_networks: int = Field(
        4, ge=1, le=16, description="Feed-forward networks in a layer."
    )
    learning_rate: float = Field(5e-4, gt=0, le=10, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Decoupled weight decay of AdamW.")

    def sizes(self, teacher: Shape) -> tuple[int | None, int | None]:
        """Width of the bottleneck and of the embeddings; None if unknown.

        Raises:
            MisfitError: They do not fit the teacher.
        """
        quarter = None if teacher.hidden_size is None else teacher.hidden_size // SHARE
        bottleneck = quarter if self.bottleneck_size is None else self.bottleneck_size
        embedding = quarter if self.embedding_size is None else self.embedding_size
        if bottleneck and teacher.heads and bottleneck % teacher.heads:
            raise MisfitError(
                "bottleneck_size",
                f"{bottleneck} is not a multiple of the teacher's {teacher.heads} attention heads",
            )
        if embedding and teacher.hidden_size and embedding >= teacher.hidden_size:
            raise MisfitError(
                "embedding_size",
                f"must be less than the teacher's width, {teacher.hidden_size} (got {embedding})",
            )
        return bottleneck, embedding


def _shape(params: DistillMobilebert, teacher: Shape) -> Shape:
    require_states(teacher, "teacher", attention=True)
    params.sizes(teacher)
    return replace(teacher, formats=frozenset())


def _work(params: DistillMobilebert, devices: int) -> Work:
    """The epochs of the transfer and of the distillation."""
    if params.max_steps is not None:
        examples = params.max_steps * examples_per_step(params, devices)
        return Work(epochs=params.transfer_epochs, examples=float(examples))
    return Work(epochs=params.transfer_epochs + params.effective_epochs)


ENTRY = RecipeEntry(
    params=DistillMobilebert,
    title="Distill into bottlenecks, layer by layer (MobileBERT)",
    summary="Trains a thin student on each layer of its teacher in turn, then on predicted tokens.",
    paper=Paper(
        "Sun, Yu, Song, Liu, Yang, Zhou (2020): MobileBERT: a Compact Task-Agnostic BERT for "
        "Resource-Limited Devices. ACL.",
        "https://arxiv.org/abs/2004.02984",
    ),
    example={
        "kind": "distill",
        "method": "mobilebert",
        "transfer_epochs": 0.5,
        "feedforward_networks": 2,
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=FORMATS_WITH_STATES,
        group="compression",
        tasks=frozenset({"masked_lm"}),
        reshape=_shape,
        work=_work,
        counts_whole=lambda params: False,
        amount=TRAINING.amount | {"transfer_epochs"},
        tuning=TRAINING.tuning | {"hidden_weight", "attention_weight", "alpha"},
    ),
)
