"""Which weights may be pruned, and how many are left."""

from __future__ import annotations

import re

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from workers.training.formats.int8 import Int8Linear, int8_modules

SPARSE_FROM = 1e-3
"""Share of zeros from which a model counts as pruned; a dense one has a few in a million."""

SPARSE_FROM_8_BIT = 0.05
"""The same for 8-bit weights, of which rounding makes some zero."""

_IN_A_LAYER = re.compile(r"\.(layer|h)\.\d+\.")

Matrix = nn.Linear | Conv1D
"""A matrix of weights with a bias; GPT-2 holds it the other way round, ``[in, out]``."""


def prunable(model: nn.Module) -> dict[str, Matrix]:
    """The matrices of the encoder's layers: query, key, value, attention output, feed-forward.

    Embeddings, LayerNorm, biases, pooler and head are not among them.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Matrix) and _IN_A_LAYER.search(name)
    }


def encoder_density(model: nn.Module) -> float:
    """Share of the encoder's matrix weights that are not zero; of 8-bit ones as well."""
    weights = 0
    non_zero = 0
    for name, module in model.named_modules():
        if not _IN_A_LAYER.search(name):
            continue
        if isinstance(module, Int8Linear):
            weight = module.tensors()["weight"]
        elif isinstance(module, Matrix):
            weight = module.weight.detach()
        else:
            continue
        weights += weight.numel()
        non_zero += int(torch.count_nonzero(weight))
    return non_zero / weights if weights else 1.0


def is_sparse(model: nn.Module) -> bool:
    """Whether a model was pruned: more of its encoder's weights are zero than by chance."""
    least = SPARSE_FROM_8_BIT if int8_modules(model) else SPARSE_FROM
    return 1 - encoder_density(model) >= least
