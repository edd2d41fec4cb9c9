"""Parameters of sharing layers and factorizing the embedding, as in ALBERT."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.shapes import MisfitError, Shape, require_format
from pricetag.recipes.training import TRAINING, FullTraining


class ShareAlbert(FullTraining):
    """Let layers share their weights, factorize the embedding, and train.

    The table of V tokens becomes V x E and E x H instead of V x H. Layers of a group are one
    module: it is stored once and computed for each layer.

    Source: Lan et al. 2020, ALBERT, section 3.1, arXiv:1909.11942.
    """

    kind: Literal["share"] = "share"
    method: Literal["albert"]
    groups: int | None = Field(
        1, ge=1, le=96, description="Number of different layers; null: layers do not share."
    )
    embedding_size: int | None = Field(
        128, ge=1, le=65_536, description="E, width of the embedding table; null keeps it whole."
    )
    start: Literal["first", "mean"] = Field(
        "first",
        description="Weights that a group's layer starts from: the first layer's, or the mean of "
        "all.",
    )

    @model_validator(mode="after")
    def _something_is_shared(self) -> Self:
        if self.groups is None and self.embedding_size is None:
            raise PydanticCustomError(
                "nothing_to_share",
                "may not be null with groups: null: nothing would be shared",
                {"field": "embedding_size"},
            )
        return self


def _reshape(params: ShareAlbert, shape: Shape) -> Shape:
    require_format(shape, (), "share the layers of a plain model, before", "nothing-to-share")
    groups, size = params.groups, params.embedding_size
    if groups is not None and shape.layers is not None and groups > shape.layers:
        raise MisfitError(
            "groups",
            f"the model has {shape.layers} layers, not {groups} or more",
            "nothing-to-share",
        )
    if size is not None and shape.hidden_size is not None and size >= shape.hidden_size:
        raise MisfitError(
            "embedding_size", above_limit(size, shape.hidden_size - 1), "rank-above-limit"
        )
    shared = () if groups is None else ("shared",)
    narrow = () if size is None else ("factorized_embedding",)
    return shape.of_format(*shared, *narrow)


def above_limit(size: int, limit: int) -> str:
    """The message for a width at which the two factors have more weights than the table."""
    return f"{size} is above the limit: the factors save weights up to a width of {limit}"


ENTRY = RecipeEntry(
    params=ShareAlbert,
    title="Share layers and factorize the embedding",
    summary="Shares weights between layers, factorizes the embeddings, and trains (ALBERT).",
    paper=Paper(
        "Lan, Chen, Goodman, Gimpel, Sharma, Soricut (2020): ALBERT: A Lite BERT for "
        "Self-supervised Learning of Language Representations. ICLR.",
        "https://arxiv.org/abs/1909.11942",
    ),
    example={
        "kind": "share",
        "method": "albert",
        "groups": 1,
        "embedding_size": 8,
        "epochs": 1,
        "learning_rate": 1e-4,
    },
    traits=replace(
        TRAINING,
        formats=frozenset(),
        group="compression",
        starts_from_scratch=True,
        tasks=frozenset({"classification", "regression", "question_answering"}),
        reshape=_reshape,
        tuning=TRAINING.tuning | {"start"},
    ),
)
