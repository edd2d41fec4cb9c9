"""Pruning by the magnitude of weights.

Source: Han, Pool, Tran, Dally 2015, Learning both Weights and Connections for Efficient Neural
Networks, section 3, arXiv:1506.02626.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import nn
from torch.nn.utils import prune as torch_prune

from workers.training.formats.sparse import Matrix, prunable

Scope = Literal["global", "per_matrix"]


def magnitude_prune(matrices: Mapping[str, Matrix], sparsity: float, scope: Scope) -> None:
    """Set the smallest weights to zero, in place and for good.

    Args:
        matrices: Prunable matrices by name.
        sparsity: Share of *all* their weights that is zero afterwards; earlier zeros count, since
            they are the smallest.
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


def prune_to(
    model: nn.Module, sparsity: float, scope: Scope, rounds: int
) -> Callable[[int], float]:
    """A function that prunes a model in place for a round, from 0, and returns the sparsity.

    Args:
        model: A model with an encoder.
        sparsity: Share of the prunable weights that is zero after the last round.
        scope: One threshold for all matrices, or one for each.
        rounds: Number of rounds.

    Source: Han et al. 2015, section 3.4, iterative pruning.
    """
    shares = round_sparsities(sparsity, rounds)

    def prune(number: int) -> float:
        magnitude_prune(prunable(model), shares[number], scope)
        return shares[number]

    return prune
