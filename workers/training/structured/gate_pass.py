"""Operations of a forward pass and a backward pass that ends at gates of heads or neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from workers.training.cost.flops import FlopProfile
from workers.training.formats.sliced import head_size, layer_sizes
from workers.training.model.recording import encoder_layers

_BELOW_HEADS = ("attention.self.query", "attention.self.key", "attention.self.value")
_BELOW_NEURONS = (*_BELOW_HEADS, "attention.output.dense", "intermediate.dense")


def gate_pass_flops(
    model: PreTrainedModel,
    profile: FlopProfile,
    length: int,
    density: float = 1.0,
    parts: Sequence[str] = ("heads", "neurons"),
) -> float:
    """Operations of one example: forward, and backward to the gates without gradients of weights.

    The backward pass multiplies each matrix once, by the gradient of its output, and both
    products of attention twice, for the gradients of both factors. It ends at the first layer's
    gates: what is computed before them has no gradient.

    Args:
        model: A BERT-shaped model, also one with removed heads and neurons.
        profile: The model's operations.
        length: Number of tokens.
        density: Share of the encoder's weights that are not zero.
        parts: Parts that have gates: ``heads``, ``neurons`` or both.
    """
    layer: Any = encoder_layers(model)[0]
    before = _BELOW_HEADS if "heads" in parts else _BELOW_NEURONS
    weights = sum(int(layer.get_submodule(name).weight.numel()) for name in before)
    heads, _ = layer_sizes(model, 0)
    attention = 4 * length**2 * heads * head_size(model)  # of the first layer, forward
    backward = profile.forward(length, density) + profile.square * length**2
    saved = 2 * density * length * weights + 2 * attention
    return profile.forward(length, density) + backward - saved
