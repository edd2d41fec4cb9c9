"""Operations of a pass to the gates of heads and neurons, in closed form."""

from __future__ import annotations

from collections.abc import Sequence


def gate_pass(
    heads: Sequence[int],
    neurons: Sequence[int],
    width: int,
    head_size: int,
    length: int,
    head: int,
    *,
    above: str = "heads",
) -> int:
    """Forward, and backward to the gates of the first layer, without gradients of weights.

    Args:
        heads: Heads of each layer.
        neurons: Neurons of each layer.
        width: Width of the hidden states.
        head_size: Width of an attention head.
        length: Number of tokens.
        head: Forward operations of the model's head.
        above: The first layer's lowest gates: ``heads`` or ``neurons``.
    """
    total = 2 * head  # forward, and the gradient of its input
    for number, (count, inner) in enumerate(zip(heads, neurons, strict=True)):
        attention = count * head_size
        projections = 2 * length * 3 * width * attention
        mixing = 4 * length**2 * attention
        output, up, down = (2 * length * width * n for n in (attention, inner, inner))
        total += projections + mixing + output + up + down
        total += down
        if number > 0 or above == "heads":
            total += output + up
        if number > 0:
            total += projections + 2 * mixing
    return total
