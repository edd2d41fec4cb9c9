"""Reweighted proximal pruning: a soft threshold after AdamW, larger for smaller weights.

Source: Guo, Liu, Wang, Chen, Lin, Ren, Xing, Zhang, Wang 2019, Reweighted Proximal Pruning for
Large-Scale Language Representation, section 4, arXiv:1909.12486.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from workers.training.formats.sparse import Matrix, prunable
from workers.training.plugin import Plugin, Step

Penalty = Literal["reweighted", "uniform"]


def soft_threshold(weight: torch.Tensor, threshold: torch.Tensor | float) -> torch.Tensor:
    """sign(w) * max(|w| - threshold, 0): the proximal operator of the (weighted) L1 norm.

    Args:
        weight: Weights of any shape.
        threshold: One number, or one for each weight.

    Source: Guo et al. 2019, section 4, equation 10.
    """
    return torch.sign(weight) * torch.clamp(weight.abs() - threshold, min=0)


def reweighted(weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The weight of each entry's penalty, alpha = 1 / (|w| + epsilon).

    Source: Guo et al. 2019, section 4, equation 8; Candes, Wakin, Boyd 2008, section 2,
    doi:10.1007/s00041-008-9045-x.
    """
    return 1 / (weight.detach().abs() + epsilon)


class ProximalStep(Plugin):
    """Lowers the encoder's weights by lr * gamma * alpha after each step of AdamW, down to 0.

    Args:
        gamma: Weight of the penalty.
        epsilon: Keeps alpha finite.
        refresh_every: Steps between two updates of alpha.
        penalty: With ``uniform``, alpha is 1: the plain L1 norm.
    """

    uncounted = ("the proximal step",)

    def __init__(
        self, gamma: float, epsilon: float, refresh_every: int, penalty: Penalty = "reweighted"
    ) -> None:
        self._gamma = gamma
        self._epsilon = epsilon
        self._refresh_every = refresh_every
        self._uniform = penalty == "uniform"
        self._matrices: dict[str, Matrix] = {}
        self._alphas: dict[str, torch.Tensor] = {}

    def attach(self, model: nn.Module) -> None:
        """The first alphas, of the weights as they are."""
        self._matrices = prunable(model)
        self._refresh()

    def _refresh(self) -> None:
        if not self._uniform:
            self._alphas = {
                name: reweighted(matrix.weight, self._epsilon)
                for name, matrix in self._matrices.items()
            }

    def after_step(self, step: Step) -> None:
        """The proximal step, with the learning rate of the optimizer's step."""
        scale = step.learning_rate * self._gamma
        with torch.no_grad():
            for name, matrix in self._matrices.items():
                threshold = scale if self._uniform else scale * self._alphas[name]
                matrix.weight.copy_(soft_threshold(matrix.weight, threshold))
        if step.done % self._refresh_every == 0:
            self._refresh()

    def state(self) -> dict[str, torch.Tensor]:
        """The alphas, in the order of the matrices."""
        return {str(number): alpha for number, alpha in enumerate(self._alphas.values())}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the alphas of a checkpoint."""
        for number, name in enumerate(self._alphas):
            self._alphas[name] = state[str(number)].to(self._alphas[name].device)
