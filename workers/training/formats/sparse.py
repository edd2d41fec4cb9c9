"""The prunable weights, and the share of zeros from which a model counts as pruned."""

from __future__ import annotations

import re

from torch import nn
from transformers.pytorch_utils import Conv1D

SPARSE_FROM = 1e-3
"""Share of zeros from which a model counts as pruned; a dense one has a few in a million."""

SPARSE_FROM_8_BIT = 0.05
"""The same for 8-bit weights, of which rounding makes some zero."""

_IN_A_LAYER = re.compile(r"\.(layer|h)\.\d+\.")

Matrix = nn.Linear | Conv1D
"""A matrix of weights with a bias; GPT-2 holds it transposed, ``[in, out]``."""


def is_in_layer(name: str) -> bool:
    """Whether a module of this name is in one of the encoder's layers."""
    return _IN_A_LAYER.search(name) is not None


def prunable(model: nn.Module) -> dict[str, Matrix]:
    """The matrices of the encoder's layers: query, key, value, attention output, feed-forward.

    Embeddings, LayerNorm, biases, pooler and head are not among them.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Matrix) and is_in_layer(name)
    }


def is_sparse(density: float, *, low_bit: bool) -> bool:
    """Whether a model was pruned: more of its encoder's weights are zero than by chance.

    Args:
        density: Share of the encoder's weights that are not zero.
        low_bit: Whether they are stored in 8 bits or fewer.
    """
    return 1 - density >= (SPARSE_FROM_8_BIT if low_bit else SPARSE_FROM)
