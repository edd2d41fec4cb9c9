"""Pruning of a language model while it is pre-trained, embeddings and pooler included.

Source: Gordon, Duh, Andrews 2020, Compressing BERT: Studying the Effects of Weight Pruning on
Transfer Learning, arXiv:2002.08307.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial

import torch

from workers.training.formats.sparse import Matrix
from workers.training.pruning.masker import by_magnitude
from workers.training.pruning.masks import Masks, choose

Choice = Callable[[Mapping[str, Matrix], float], Masks]


def random_masks(matrices: Mapping[str, Matrix], sparsity: float, seed: int) -> Masks:
    """The control: masks of random weights of each matrix, nested over the sparsities.

    Args:
        matrices: Matrices by name.
        sparsity: Share of each matrix that is pruned.
        seed: Seed of the stage.

    Source: Gordon et al. 2020, section 4, random pruning.
    """
    scores = {}
    for name, matrix in matrices.items():
        digest = hashlib.sha256(f"compressbert/{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        scores[name] = torch.rand(matrix.weight.shape, generator=generator).to(matrix.weight.device)
    return choose(matrices, lambda _: scores, sparsity, "per_matrix")


def choice(control: str | None, seed: int) -> Choice:
    """The masks of each matrix at a sparsity: of its largest weights, or the control's.

    Args:
        control: ``random_mask`` or None.
        seed: Seed of the stage.

    Source: Gordon et al. 2020, section 3.
    """
    return by_magnitude if control is None else partial(random_masks, seed=seed)
