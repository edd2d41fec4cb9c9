"""Floating-point operations in closed form (a multiply-add counts as two)."""

from __future__ import annotations

from dataclasses import dataclass

from pricetag.accounting.quantity.checks import (
    require_count,
)

TRAINING_PER_FORWARD = 3
"""A backward pass costs two forward passes: one for the inputs, one for the weights."""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The dimensions of a Transformer encoder that determine its FLOPs.

    Attributes:
        layers: Number of layers.
        hidden: H, width of the hidden states.
        intermediate: I, width of the feed-forward network.
        attention: A, total width of all heads (heads x head_dim); H unless heads are pruned.
    """

    layers: int
    hidden: int
    intermediate: int
    attention: int

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "intermediate", "attention"):
            require_count(name, getattr(self, name))


def linear_flops(rows: int, inputs: int, outputs: int) -> int:
    """FLOPs of a dense product of ``[rows, inputs]`` and ``[inputs, outputs]``: 2 x all three."""
    return 2 * rows * inputs * outputs


def encoder_layer_flops(shape: EncoderShape, length: int) -> int:
    """FLOPs of one layer on one sequence: 2L(4H·A + 2H·I) + 4L²A.

    Args:
        shape: Shape of the encoder.
        length: L, tokens in the sequence, including padding.

    Source:
        Query, key, value and output projections; the two feed-forward matrices; scores and
        weighted sum. Layer norm, softmax and activation are omitted, as is customary.
    """
    tokens = require_count("length", length)
    projections = 4 * linear_flops(tokens, shape.hidden, shape.attention)
    feed_forward = 2 * linear_flops(tokens, shape.hidden, shape.intermediate)
    mixing = 2 * linear_flops(tokens, tokens, shape.attention)
    return projections + feed_forward + mixing


def encoder_flops(
    shape: EncoderShape, length: int, *, pooler: bool = True, classes: int = 0
) -> int:
    """FLOPs of a forward pass on one sequence, with pooler and classifier."""
    flops = shape.layers * encoder_layer_flops(shape, length)
    if pooler:
        flops += linear_flops(1, shape.hidden, shape.hidden)
    return flops + linear_flops(1, shape.hidden, classes)
