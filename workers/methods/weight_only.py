"""Weights as integers of few bits, while activations stay fp32.

Source: Dettmers, Zettlemoyer 2023, arXiv:2212.09720.
"""

from __future__ import annotations

from torch import nn

from workers.training.formats.integers import Plan, embeddings, linears, to_integers
from workers.training.quantization.affine import Blocks


def apply_weight_only(
    model: nn.Module, bits: int, column_size: int | None, *, with_embeddings: bool
) -> list[str]:
    """Give every linear layer (and embedding) weights of few bits, in place.

    S = max|r| / (2^(bits - 1) - 1) for each block of a row, Z = 0.

    Args:
        model: The model, changed in place.
        bits: Bits of a weight.
        column_size: Weights of a row that share a scale; None for the whole row.
        with_embeddings: Whether embeddings are converted too.

    Returns:
        The names of the modules that were replaced.

    Source: Dettmers, Zettlemoyer 2023, section 2, arXiv:2212.09720.
    """
    names = linears(model) + (embeddings(model) if with_embeddings else [])
    for name in names:
        to_integers(model, name, Plan(bits, Blocks(column_size=column_size)))
    return names
