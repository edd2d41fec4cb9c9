"""Plug-ins that hold masks during training, of weights and Adam moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from workers.training.formats.sparse import Matrix, is_in_layer, prunable
from workers.training.plugin import Plugin, Step
from workers.training.pruning.masks import Masks, choose, kept_share, multiply_, pruned_count
from workers.training.pruning.schedule import Ramp

MOMENTS = ("exp_avg", "exp_avg_sq")


class Masker(Plugin):
    """Keeps the weights outside its masks at zero, and their Adam moments.

    New masks are applied to weights and moments after a step. From then on, the optimizer gets
    gradients of zero outside the masks, after clipping: one pass over the weights in place of
    three, and the same numbers.

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
        self._are_new = True
        self._held: Any = None  # the optimizer whose gradients are masked
        self._hook: Any = None

    def attach(self, model: nn.Module) -> None:
        """Begin with the masks of the weights as they are: zeros stay zero."""
        self.matrices = dict(self._select(model))
        self.hold({n: (m.weight != 0).detach() for n, m in self.matrices.items()})

    def hold(self, masks: Masks) -> None:
        """Replace the masks; they are applied after the next step."""
        self.masks, self._are_new = masks, True
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

    def before_step(self, step: Step) -> None:
        """Mask the gradients of the optimizer, from its first step and the first one resumed."""
        # Where processes share a training, accelerate wraps the optimizer that makes the step.
        optimizer = getattr(step.optimizer, "optimizer", step.optimizer)
        if optimizer is not self._held:
            self._let_go()
            if optimizer is not None:
                self._held = optimizer
                self._hook = optimizer.register_step_pre_hook(self._mask_gradients)

    def after_step(self, step: Step) -> None:
        """Apply masks that are new."""
        if self._are_new or self._held is None:
            self._apply(step.optimizer)
            self._are_new = False

    def detach(self, model: nn.Module) -> None:
        """Leave the optimizer alone."""
        self._let_go()

    def _let_go(self) -> None:
        if self._hook is not None:
            self._hook.remove()
        self._held, self._hook = None, None

    def _mask_gradients(self, *of_the_step: Any) -> None:
        for name, mask in self.masks.items():
            gradient = self.matrices[name].weight.grad
            if gradient is not None:
                multiply_(gradient, mask)

    def _apply(self, optimizer: torch.optim.Optimizer | None) -> None:
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
        super().after_step(step)
