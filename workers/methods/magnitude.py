"""Pruning by the magnitude of weights.

Source: Han, Pool, Tran, Dally 2015, Learning both Weights and Connections for Efficient Neural
Networks, section 3, arXiv:1506.02626.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch.nn.utils import prune as torch_prune

from workers.training.formats.sparse import Matrix

Scope = Literal["global", "per_matrix"]


def magnitude_prune(matrices: Mapping[str, Matrix], sparsity: float, scope: Scope) -> None:
    """Set the smallest weights to zero, in place and for good.

    Args:
        matrices: What may be pruned, by name.
        sparsity: Share of *all* their weights that is zero afterwards; zeros that are there
            already count, being smallest.
        scope: One threshold for all matrices, or one for each.

    Source: Han et al. 2015, section 3, arXiv:1506.02626.
    """
    places = [(module, "weight") for module in matrices.values()]
    if scope == "global":
        torch_prune.global_unstructured(
            places, pruning_method=torch_prune.L1Unstructured, amount=sparsity
        )
    else:
        for module, name in places:
            torch_prune.l1_unstructured(module, name, sparsity)  # type: ignore[no-untyped-call]
    for module, name in places:
        # The mask goes into the weights: plain parameters again.
        torch_prune.remove(module, name)  # type: ignore[no-untyped-call]


def round_sparsities(sparsity: float, rounds: int) -> list[float]:
    """The sparsity after each round: equal shares of the weights that are to go.

    Source: Han et al. 2015, section 3.4, iterative pruning.
    """
    return [sparsity * (number + 1) / rounds for number in range(rounds)]
