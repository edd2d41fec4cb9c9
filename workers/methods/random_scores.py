"""Random pruning, the control of every score.

Source: Gordon, Duh, Andrews 2020, Compressing BERT, section 4, arXiv:2002.08307.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from workers.training.formats.sparse import Matrix
from workers.training.pruning.masks import Scores


def random_scores(matrices: Mapping[str, Matrix], seed: int) -> Scores:
    """Random scores of each weight, from 0 to 1; weights that are zero have the score 0.

    A matrix's scores depend on the seed and its name alone: they are the same in every round and
    on every process, so that later rounds prune more of the same order.

    Args:
        matrices: Matrices by name.
        seed: Seed of the stage.

    Source: Gordon et al. 2020, section 4.
    """
    scores = {}
    for name, matrix in matrices.items():
        weight = matrix.weight.detach()
        digest = hashlib.sha256(f"random pruning/{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        drawn = torch.rand(weight.shape, generator=generator).to(weight.device)
        scores[name] = torch.where(weight == 0, 0.0, 1 - drawn)  # above 0 where there is a weight
    return scores
