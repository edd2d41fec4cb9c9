"""Plug-ins that hold masks during training: weights and Adam moments, after each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from workers.training.formats.sparse import Matrix, is_in_layer, prunable
from workers.training.plugin import Plugin, Step
from workers.training.pruning.masks import Masks, choose, kept_share, multiply_, pruned_count
from workers.training.pruning.schedule import Ramp

MOMENTS = ("exp_avg", "exp_avg_sq")


class Masker(Plugin):
    """Sets the weights outside its masks to zero after every step, and their Adam moments.

    Masks follow from weights, averaged gradients and seeds alone, so that they are equal on all
    processes; they are part of each checkpoint.

    Args:
        select: The matrices of a model that it masks, by name.
    """

    def __init__(self, select: Callable[[nn.Module], Mapping[str, Matrix]] = prunable) -> None:
        self._select = select
        self.matrices: dict[str, Matrix] = {}
        self.masks: Masks = {}
        self._density = 1.0

    def attach(self, model: nn.Module) -> None:
        """Begin with the masks of the weights as they are: zeros stay zero."""
        self.matrices = dict(self._select(model))
        self.hold({n: (m.weight != 0).detach() for n, m in self.matrices.items()})

    def hold(self, masks: Masks) -> None:
        """Replace the masks; they are applied after the next step."""
        self.masks = masks
        self._density = kept_share([mask for name, mask in masks.items() if is_in_layer(name)])

    def density(self) -> float:
        """Share of the encoder's weights that the masks keep."""
        return self._density

    def state(self) -> dict[str, torch.Tensor]:
        """The masks, in the order of the matrices."""
        return {str(number): mask for number, mask in enumerate(self.masks.values())}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the masks of a checkpoint."""
        self.hold(
            {
                name: state[str(number)].to(matrix.weight.device)
                for number, (name, matrix) in enumerate(self.matrices.items())
            }
        )

    def after_step(self, step: Step) -> None:
        """Set to zero again what the optimizer has moved."""
        self.apply(step.optimizer)

    def apply(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Mask the weights and their moments, in place."""
        for name, mask in self.masks.items():
            weight = self.matrices[name].weight
            multiply_(weight, mask)
            moments = {} if optimizer is None else optimizer.state.get(weight, {})
            for moment in MOMENTS:
                if moment in moments:
                    multiply_(moments[moment], mask)


class KeepZeros(Masker):
    """Keeps the weights at zero that are zero when training starts."""


def by_magnitude(
    matrices: Mapping[str, Matrix],
    sparsity: float,
    pruned: Callable[[int, float], int] = pruned_count,
) -> Masks:
    """Masks of the largest weights of each matrix.

    Args:
        matrices: Matrices by name.
        sparsity: Share of the weights that is pruned.
        pruned: How many of N weights are pruned at a sparsity.
    """
    scores = {name: matrix.weight.detach().abs() for name, matrix in matrices.items()}
    return choose(matrices, lambda _: scores, sparsity, "per_matrix", pruned=pruned)


class RampedMasker(Masker):
    """Prunes along a cubic ramp of the steps, by scores of the weights at the time.

    Args:
        choose: Masks of the matrices at a sparsity.
        ramp: The sparsity at each step.
        select: The matrices of a model that it masks, by name.
    """

    uncounted = ("the choice of masks",)

    def __init__(
        self,
        choose: Callable[[Mapping[str, Matrix], float], Masks],
        ramp: Ramp,
        select: Callable[[nn.Module], Mapping[str, Matrix]] = prunable,
    ) -> None:
        super().__init__(select)
        self._choose = choose
        self._ramp = ramp

    def settled(self, step: Step) -> bool:
        """Only after the ramp are the masks final."""
        return self._ramp.over(step.done, step.total)

    def after_step(self, step: Step) -> None:
        """Choose new masks if they are due, and apply them."""
        if self._ramp.due(step.done, step.total):
            self.hold(self._choose(self.matrices, self._ramp.sparsity(step.done, step.total)))
        self.apply(step.optimizer)
