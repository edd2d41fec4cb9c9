"""The shape of a model between two stages, as far as the server can know it."""

from __future__ import annotations

from dataclasses import dataclass

from pricetag.recipes.data import FromScratch


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a stage's input model; None if unknown."""

    layers: int | None = None
    hidden_size: int | None = None
    heads: int | None = None


class MisfitError(ValueError):
    """A stage does not fit its input model; ``option`` is the one to change."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


def described_shape(model: object) -> Shape:
    """The shape of a run's model, known if it is trained from scratch."""
    if not isinstance(model, FromScratch):
        return Shape()
    config = model.config
    return Shape(config.num_hidden_layers, config.hidden_size, config.num_attention_heads)
