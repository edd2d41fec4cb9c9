"""Parameters of pre-training by the detection of replaced tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import Shape, require_format
from pricetag.recipes.training import TRAINING, FullTraining


class PretrainElectra(FullTraining):
    """Pre-train an encoder on text: it detects the tokens that a small generator has replaced.

    generator_weight * masked-LM loss of the generator + detection_weight * binary cross-entropy
    of the discriminator over all tokens. Both are trained together and share their embeddings.
    The discriminator's encoder is the stage's model; the generator is discarded.

    Source: Clark, Luong, Le, Manning 2020, sections 2 and 3 and table 6, arXiv:2003.10555.
    """

    kind: Literal["pretrain"] = "pretrain"
    method: Literal["electra"]
    generator_size: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Hidden size, feed-forward size and heads of the generator, as a share of "
        "the discriminator's.",
    )
    generator_layers: float = Field(
        1.0, gt=0, le=1, description="Layers of the generator, as a share of the discriminator's."
    )
    generator_weight: float = Field(
        1.0, ge=0, le=1e6, description="Weight of the generator's loss."
    )
    detection_weight: float = Field(50.0, ge=0, le=1e6, description="Weight of the detection loss.")
    predicted: float = Field(
        0.15, gt=0, le=1, description="Share of each text's tokens that the generator predicts."
    )
    masked: float = Field(
        0.85,
        ge=0,
        le=1,
        description="Share of the predicted tokens that the mask token hides from the generator; "
        "it sees the others.",
    )
    learning_rate: float = Field(5e-4, gt=0, le=10, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(
        0.01, ge=0, le=1, description="Decoupled weight decay of AdamW; not of biases and norms."
    )
    warmup_ratio: float = Field(0.01, ge=0, le=1, description="Share of the steps for warm-up.")
    evaluate: bool = Field(
        False, description="Always false: the model predicts nothing until it is fine-tuned."
    )

    @model_validator(mode="after")
    def _nothing_to_evaluate(self) -> Self:
        for option in ("evaluate", "mid_evaluation"):
            if getattr(self, option):
                raise PydanticCustomError(
                    "electra",
                    "does not work here: an encoder that detects replaced tokens predicts none; "
                    "remove it, fine-tune the model with a train stage, and evaluate that",
                    {"field": option},
                )
        return self


def _reshape(params: PretrainElectra, shape: Shape) -> Shape:
    require_format(
        shape,
        ("deq", "reformer"),
        "its encoder cannot be published without a head; pre-train before",
        "bad-model",
    )
    return shape


def _generator(params: PretrainElectra, shape: Shape) -> Shape | None:
    """The generator's shape: a share of the model's."""
    sizes = (shape.layers, shape.hidden_size, shape.intermediate_size)
    shares = (params.generator_layers, params.generator_size, params.generator_size)
    own = [
        None if size is None else max(1, round(size * share))
        for size, share in zip(sizes, shares, strict=True)
    ]
    return None if None in own else Shape(own[0], own[1], None, own[2])


ENTRY = RecipeEntry(
    params=PretrainElectra,
    title="Pre-train by the detection of replaced tokens (ELECTRA)",
    summary="Pre-trains an encoder on text, from random weights or from a checkpoint: it detects "
    "tokens that a small generator has replaced.",
    paper=Paper(
        "Clark, Luong, Le, Manning (2020): ELECTRA: Pre-training Text Encoders as Discriminators "
        "Rather Than Generators. ICLR.",
        "https://arxiv.org/abs/2003.10555",
    ),
    example={"kind": "pretrain", "method": "electra", "epochs": 1},
    traits=replace(
        TRAINING,
        formats=frozenset({"deq", "reformer"}),
        starts_from_scratch=True,
        evaluates_after=False,
        reshape=_reshape,
        companion=_generator,
        headless="the encoder that it makes has no head",
        tasks=frozenset({"masked_lm"}),
        tuning=TRAINING.tuning | {"generator_weight", "detection_weight"},
    ),
)
