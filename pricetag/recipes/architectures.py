"""Architectures of models from scratch beside those that transformers has."""

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


Architecture = Annotated[Deq | Reformer, Field(discriminator="name")]


ARCHITECTURES: dict[str, type[Params]] = {"deq": Deq, "reformer": Reformer}


def note_of(architecture: Architecture) -> dict[str, Any]:
    """The options of an architecture as the note beside a saved model."""
    return {"format": 1, **architecture.model_dump(exclude={"name"})}
