"""Pruning of 16 x 16 blocks after training with a reweighted group lasso over them.

Source: Chen, Huang, Pandey, Li, Gao, Zheng, Ding, Liu 2021, E.T.: Re-Thinking Self-Attention for
Transformer Models on GPUs, section 4, doi:10.1145/3458817.3476138.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from workers.training.formats.sparse import Matrix, prunable
from workers.training.forward_pass import ForwardPass
from workers.training.plugin import LossTerm, Step
from workers.training.pruning.masks import Masks, block_norms, choose, percentile_count


def block_masks(matrices: Mapping[str, Matrix], ratio: float) -> Masks:
    """Masks of the blocks whose norm is above the percentile 100 * ratio of their matrix.

    Args:
        matrices: Matrices by name.
        ratio: Share of each matrix's blocks that is pruned.

    Source: Chen et al. 2021, section 4; the authors' code, weight_pruning.
    """

    def magnitudes(matrices: Mapping[str, Matrix]) -> dict[str, torch.Tensor]:
        return {name: matrix.weight.detach().abs() for name, matrix in matrices.items()}

    return choose(matrices, magnitudes, ratio, "per_matrix", "16x16", percentile_count)


def group_lasso(norms: torch.Tensor, earlier: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The sum of the blocks' norms, each divided by its earlier norm + epsilon.

    Args:
        norms: Norms of the blocks now, of any shape.
        earlier: Their norms at the last refresh.
        epsilon: Keeps the weight of a small block finite.

    Source: Chen et al. 2021, section 4.
    """
    return (norms / (earlier + epsilon)).sum()


class BlockPenalty(LossTerm):
    """The reweighted group lasso over the blocks of the encoder's matrices.

    Args:
        weight: Factor of the term.
        epsilon: Keeps the weight of a small block finite.
        refresh_epochs: Epochs between two updates of the earlier norms.
    """

    name = "blocks"
    reads_logits = False
    uncounted = ("the penalty of the blocks",)

    def __init__(self, weight: float, epsilon: float, refresh_epochs: int) -> None:
        self.weight = weight
        self._epsilon = epsilon
        self._refresh_epochs = refresh_epochs
        self._matrices: list[Matrix] = []
        self._earlier: list[torch.Tensor] = []
        self._refreshed = 0

    def attach(self, model: nn.Module) -> None:
        """The norms of the weights as they are."""
        self._matrices = list(prunable(model).values())
        self._refresh()

    def _norms(self) -> list[torch.Tensor]:
        return [
            block_norms(matrix.weight.t() if isinstance(matrix, Conv1D) else matrix.weight)
            for matrix in self._matrices
        ]

    def _refresh(self) -> None:
        self._earlier = [norms.detach() for norms in self._norms()]

    def on_epoch(self, step: Step) -> None:
        """Update the earlier norms if due; an epoch that is resumed does not count again."""
        epoch = math.floor(step.epoch + 1e-6)
        if epoch - self._refreshed >= self._refresh_epochs:
            self._refreshed = epoch
            self._refresh()

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        parts = [
            group_lasso(norms, earlier, self._epsilon)
            for norms, earlier in zip(self._norms(), self._earlier, strict=True)
        ]
        return torch.stack(parts).sum()

    def state(self) -> dict[str, torch.Tensor]:
        """The earlier norms, and the epoch of their update."""
        norms = {str(number): norms for number, norms in enumerate(self._earlier)}
        return {**norms, "refreshed": torch.tensor(self._refreshed)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the state of a checkpoint."""
        self._refreshed = int(state["refreshed"])
        self._earlier = [
            state[str(number)].to(norms.device) for number, norms in enumerate(self._earlier)
        ]
