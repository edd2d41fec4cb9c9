"""Floating-point operations in closed form: counts, two for a multiply-add."""

from __future__ import annotations

from dataclasses import dataclass

from pricetag.accounting.quantity.checks import (
    InvalidFactor,
    require_count,
    require_number,
    require_positive,
)

TRAINING_PER_FORWARD = 3
"""A backward pass costs two forward passes: one for the inputs, one for the weights."""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The sizes of a Transformer encoder that its operations depend on.

    Attributes:
        layers: Number of layers.
        hidden: H, width of the hidden states.
        intermediate: I, width of the feed-forward network.
        attention: A, width of all heads together (heads x head_dim); H unless heads are pruned.
    """

    layers: int
    hidden: int
    intermediate: int
    attention: int

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "intermediate", "attention"):
            require_count(name, getattr(self, name))


def linear_flops(rows: int, inputs: int, outputs: int) -> int:
    """A dense product of ``[rows, inputs]`` with ``[inputs, outputs]``: 2 x all three."""
    return 2 * rows * inputs * outputs


def encoder_layer_flops(shape: EncoderShape, length: int) -> int:
    """One layer on one sequence: 2L(4H·A + 2H·I) + 4L²A.

    Args:
        shape: Of the encoder.
        length: L, tokens in the sequence, padding included.

    Source:
        Query, key, value and output projections; the two feed-forward matrices; scores and
        weighted sum. Layer norm, softmax and activation are left out, as is the custom.
    """
    tokens = require_count("length", length)
    projections = 4 * linear_flops(tokens, shape.hidden, shape.attention)
    feed_forward = 2 * linear_flops(tokens, shape.hidden, shape.intermediate)
    mixing = 2 * linear_flops(tokens, tokens, shape.attention)
    return projections + feed_forward + mixing


def encoder_flops(
    shape: EncoderShape, length: int, *, pooler: bool = True, classes: int = 0
) -> int:
    """A forward pass on one sequence, with the pooler and a classifier of some classes."""
    flops = shape.layers * encoder_layer_flops(shape, length)
    if pooler:
        flops += linear_flops(1, shape.hidden, shape.hidden)
    return flops + linear_flops(1, shape.hidden, classes)


def training_flops(forward_flops: float, *, examples: int, epochs: float = 1.0) -> float:
    """Operations of a training: three forward passes for each example it sees.

    Raises:
        InvalidFactor: If a figure is negative.
    """
    seen = require_count("examples", examples, at_least=0) * require_number("epochs", epochs)
    return TRAINING_PER_FORWARD * require_number("forward_flops", forward_flops) * seen


def effective_flops(dense_flops: float, density_ratio: float) -> float:
    """Operations on weights that are not zero, whether or not the hardware skips the others.

    Raises:
        InvalidFactor: If the density is not between 0 and 1.
    """
    if require_number("density_ratio", density_ratio) > 1:
        raise InvalidFactor("density_ratio", density_ratio, "a share between 0 and 1")
    return require_number("dense_flops", dense_flops) * density_ratio


def model_flops_utilization(
    flops: float, duration_s: float, peak_flops_per_s: float, *, devices: int = 1
) -> float:
    """MFU: the model's operations over what the devices could have done in that time.

    Raises:
        InvalidFactor: If a figure is out of its range.

    Source:
        Chowdhery et al. 2022, PaLM, appendix B.
    """
    able = require_positive("peak_flops_per_s", peak_flops_per_s) * require_count(
        "devices", devices
    )
    return require_number("flops", flops) / (require_positive("duration_s", duration_s) * able)
