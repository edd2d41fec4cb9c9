"""Pruning by the magnitude of weights.

Source: Han, Pool, Tran, Dally 2015, Learning both Weights and Connections for Efficient Neural
Networks, section 3, arXiv:1506.02626.
"""

from __future__ import annotations

from collections.abc import Mapping

from workers.training.formats.sparse import Matrix
from workers.training.pruning.masks import Scope, Scores, apply_masks, choose


def magnitudes(matrices: Mapping[str, Matrix]) -> Scores:
    """The score of each weight: its absolute value, in the shape of its matrix.

    Args:
        matrices: Matrices by name.

    Source: Han et al. 2015, section 3, arXiv:1506.02626.
    """
    return {name: matrix.weight.detach().abs() for name, matrix in matrices.items()}


def magnitude_prune(matrices: Mapping[str, Matrix], sparsity: float, scope: Scope) -> None:
    """Set the smallest weights to zero, in place and permanently.

    Args:
        matrices: Prunable matrices by name.
        sparsity: Share of *all* their weights that is zero afterwards; earlier zeros count, since
            they are the smallest.
        scope: One threshold for all matrices, or one for each.

    Source: Han et al. 2015, section 3, arXiv:1506.02626.
    """
    apply_masks(matrices, choose(matrices, magnitudes, sparsity, scope))
