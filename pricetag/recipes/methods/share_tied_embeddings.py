"""Parameters of tying the input and output embeddings of a language model."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import fault
from pricetag.recipes.shapes import MisfitError, Shape, require_format
from pricetag.recipes.tasks import LANGUAGE_MODELS
from pricetag.recipes.training import TRAINING, FullTraining


class ShareTiedEmbeddings(FullTraining):
    """Let a language model read and predict tokens with the same table, and train it.

    The table of V tokens and the output matrix, V x H each, become one matrix. ``untied`` is the
    control: a model that shares its table gets an output matrix of its own.

    Source: Press, Wolf 2017, Using the Output Embedding to Improve Language Models, section 3,
    doi:10.18653/v1/E17-2025.
    """

    kind: Literal["share"] = "share"
    method: Literal["tied_embeddings"]
    embeddings: Literal["tied", "untied"] = Field(
        "tied", description="One embedding table for input and output, or the control with two."
    )
    start: Literal["output", "input", "mean"] | None = Field(
        None,
        description="tied: the matrix that the shared one starts from. Default: output, which the "
        "paper finds to be the better embedding and the one that a tied matrix resembles.",
    )

    @model_validator(mode="after")
    def _start_belongs_to_tied(self) -> Self:
        if self.embeddings == "untied" and self.start is not None:
            raise fault("start", "belongs to embeddings: tied; an untied matrix starts as a copy")
        return self

    @property
    def first_table(self) -> Literal["output", "input", "mean"]:
        """The matrix that the shared one starts from."""
        return "output" if self.start is None else self.start


def _reshape(params: ShareTiedEmbeddings, shape: Shape) -> Shape:
    require_format(shape, (), "tie the embeddings of a plain model, before", "nothing-to-share")
    tied = params.embeddings == "tied"
    if shape.tied == tied:
        raise MisfitError(
            "embeddings",
            f"the embeddings are {params.embeddings} already; train the model as it is",
            "nothing-to-share",
        )
    return replace(shape, tied=tied)


ENTRY = RecipeEntry(
    params=ShareTiedEmbeddings,
    title="Tie input and output embeddings",
    summary="Ties the input and output embeddings of a language model, and trains it.",
    paper=Paper(
        "Press, Wolf (2017): Using the Output Embedding to Improve Language Models. EACL.",
        "https://doi.org/10.18653/v1/E17-2025",
    ),
    example={"kind": "share", "method": "tied_embeddings", "epochs": 1},
    traits=replace(
        TRAINING,
        formats=frozenset(),
        group="compression",
        starts_from_scratch=True,
        tasks=LANGUAGE_MODELS,
        reshape=_reshape,
        tuning=TRAINING.tuning | {"start"},
    ),
)
