"""Zeros of a pruned model in later training: kept by default, never filled without a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workers.job.context import StageContext
from workers.training.formats.sparse import encoder_density, is_sparse, prunable
from workers.training.plugin import Plugin, Step


class KeepZeros(Plugin):
    """Keeps at zero what is zero when training starts: after every step, the mask again."""

    def __init__(self) -> None:
        self._masks: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._density = 1.0

    def attach(self, model: nn.Module) -> None:
        """Take the masks from the weights."""
        self._masks = [
            (module.weight, (module.weight != 0).detach()) for module in prunable(model).values()
        ]
        self._density = encoder_density(model)

    def density(self) -> float:
        """The share of weights that are not zero; it stays what it was at the start."""
        return self._density

    def state(self) -> dict[str, torch.Tensor]:
        """The masks, in the order of the matrices."""
        return {str(number): mask for number, (_, mask) in enumerate(self._masks)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take back the masks of a checkpoint."""
        self._masks = [
            (weight, state[str(number)].to(weight.device))
            for number, (weight, _) in enumerate(self._masks)
        ]

    def after_step(self, step: Step) -> None:
        """Zero what the optimizer has moved."""
        with torch.no_grad():
            for weight, mask in self._masks:
                weight.mul_(mask)


@dataclass(frozen=True)
class Sparsity:
    """What a training stage does about the zeros of the model it starts from."""

    plugins: tuple[Plugin, ...]
    before: float | None  # None: the model is dense

    def report(self, context: StageContext, model: nn.Module) -> Mapping[str, Any]:
        """Report the sparsity after training; returns it as facts of the stage's result."""
        if self.before is None:
            return {}
        after = 1 - encoder_density(model)
        context.reporter.metric("encoder_sparsity", after)
        return {
            "encoder_sparsity_before": self.before,
            "encoder_sparsity": after,
            "sparsity_kept": bool(self.plugins),
        }


def decide(context: StageContext, model: nn.Module, keep: bool | None) -> Sparsity:
    """Keep a pruned model's zeros through training unless the stage says ``keep: false``."""
    if not is_sparse(model):
        if keep:
            context.reporter.log("keep_sparsity: the model has no pruned weights to keep")
        return Sparsity((), None)
    sparsity = 1 - encoder_density(model)
    if keep is False:
        context.reporter.log(
            f"keep_sparsity is false: training fills the pruned weights; encoder sparsity was "
            f"{sparsity:.1%}",
        )
        return Sparsity((), sparsity)
    context.reporter.log(f"pruned weights stay zero: encoder sparsity {sparsity:.1%}")
    return Sparsity((KeepZeros(),), sparsity)
