"""The shape of a model between two stages, as far as the server can know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pricetag.recipes.data import FromScratch


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a stage's input model, and whether it has early exits; None if unknown."""

    layers: int | None = None
    hidden_size: int | None = None
    heads: int | None = None
    intermediate_size: int | None = None
    exits: bool | None = None


class MisfitError(ValueError):
    """A stage does not fit its input model; ``option`` is the one to change.

    ``code`` is that of the job's error if only the worker can see the model.
    """

    def __init__(self, option: str, message: str, code: str = "bad-student") -> None:
        super().__init__(message)
        self.option = option
        self.code = code


def described_shape(model: object) -> Shape:
    """The shape of a run's model, known if it is trained from scratch."""
    if not isinstance(model, FromScratch):
        return Shape()
    config = model.config
    return Shape(
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        exits=False,
    )


SIZE_NAMES: Mapping[str, tuple[str, ...]] = {
    "num_hidden_layers": ("num_hidden_layers", "n_layers", "n_layer", "num_layers"),
    "hidden_size": ("hidden_size", "d_model", "dim", "n_embd"),
    "num_attention_heads": ("num_attention_heads", "n_heads", "n_head"),
    "intermediate_size": (
        *("intermediate_size", "n_inner", "hidden_dim"),
        *("encoder_ffn_dim", "ffn_dim", "d_ff", "d_inner"),
    ),
}
"""Names that architectures have for a size; the first one that a configuration has is its own."""


def stored_shape(config: object) -> Shape:
    """The shape that a model's ``config.json`` states, whatever it calls its sizes."""

    def size(option: str) -> int | None:
        stated = config if isinstance(config, Mapping) else {}
        value = next((stated[name] for name in SIZE_NAMES[option] if name in stated), None)
        return value if type(value) is int and value > 0 else None

    layers, hidden_size, heads, intermediate_size = (size(option) for option in SIZE_NAMES)
    return Shape(layers, hidden_size, heads, intermediate_size)
