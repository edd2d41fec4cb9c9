"""Architectures of models from scratch beside BERT and GPT-2."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from pricetag.recipes.base import Params


class Deq(Params):
    """A deep equilibrium model: its encoder is the fixed point of its layers.

    Source: Bai, Kolter, Koltun 2019, Deep Equilibrium Models, arXiv:1909.01377.
    """

    name: Literal["deq"] = Field(description="Name of the architecture.")
    solver: Literal["broyden", "anderson"] = Field(
        "broyden", description="Method that finds the fixed point."
    )
    evaluations: int = Field(
        12, ge=1, le=1000, description="Evaluations of the layers to find the fixed point."
    )
    gradient_evaluations: int = Field(
        12, ge=1, le=1000, description="Products with the layers' Jacobian to find the gradient."
    )


class Reformer(Params):
    """An encoder whose tokens attend within buckets of a locality-sensitive hash.

    Source: Kitaev, Kaiser, Levskaya 2020, Reformer: The Efficient Transformer, arXiv:2001.04451.
    """

    name: Literal["reformer"] = Field(description="Name of the architecture.")
    rounds: int = Field(4, ge=1, le=64, description="Rounds of hashing.")
    buckets: int = Field(
        16, ge=2, le=4096, multiple_of=2, description="Buckets of the hash; an even number."
    )
    chunk: int = Field(
        16,
        ge=1,
        le=4096,
        description="Tokens per chunk: tokens attend to their own chunk and the one before.",
    )


class InvertedBottleneck(Params):
    """An encoder that is wide inside its layers and narrow between them: MobileBERT's teacher.

    ``hidden_size`` is the width between layers; attention and one feed-forward network have
    ``inner_size`` as their width. The input is a convolution over three tokens of narrow
    embeddings. The model is one of transformers, of type ``mobilebert``; its queries, keys and
    values come from the wide states, the paper's from the narrow ones.

    Source: Sun, Yu, Song, Liu, Yang, Zhou 2020, MobileBERT, section 3.2 and table 1 (IB-BERT),
    arXiv:2004.02984.
    """

    name: Literal["inverted_bottleneck"] = Field(description="Name of the architecture.")
    inner_size: int = Field(
        1024, ge=8, le=65_536, description="Width inside a layer; a multiple of the heads."
    )
    embedding_size: int = Field(128, ge=4, le=8192, description="Width of the word embeddings.")


Architecture = Annotated[Deq | Reformer | InvertedBottleneck, Field(discriminator="name")]


ARCHITECTURES: dict[str, type[Params]] = {
    "deq": Deq,
    "reformer": Reformer,
    "inverted_bottleneck": InvertedBottleneck,
}


def format_of(architecture: Architecture | None) -> dict[str, dict[str, Any]]:
    """The note beside a saved model of an architecture, by its name; empty for transformers' own.

    Args:
        architecture: The architecture; None for that of the configuration.
    """
    if architecture is None or isinstance(architecture, InvertedBottleneck):
        return {}
    return {architecture.name: {"format": 1, **architecture.model_dump(exclude={"name"})}}
