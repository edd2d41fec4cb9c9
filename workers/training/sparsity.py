"""Zeros of a pruned model in later training: kept by default, never filled without a log line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workers.job.context import StageContext
from workers.training.finetune import full_profile
from workers.training.formats.sparse import prunable
from workers.training.model.loaded import Loaded
from workers.training.plugin import Plugin, Step


class KeepZeros(Plugin):
    """Keeps the weights at zero that are zero when training starts: masks them after each step."""

    def __init__(self) -> None:
        self._masks: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._density = 1.0

    def attach(self, model: nn.Module) -> None:
        """Take the masks from the weights."""
        self._masks = [
            (module.weight, (module.weight != 0).detach()) for module in prunable(model).values()
        ]
        places = sum(mask.numel() for _, mask in self._masks)
        kept = sum(int(torch.count_nonzero(mask)) for _, mask in self._masks)
        self._density = kept / places if places else 1.0

    def density(self) -> float:
        """Share of the encoder's weights that are not zero; it stays the same in training."""
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
        """Set to zero again what the optimizer has moved."""
        with torch.no_grad():
            for weight, mask in self._masks:
                weight.mul_(mask)


@dataclass(frozen=True)
class Sparsity:
    """How a training stage treats the zeros of the model that it starts from."""

    plugins: tuple[Plugin, ...]
    before: float | None  # None: the model is dense

    def report(self, context: StageContext, loaded: Loaded) -> Mapping[str, Any]:
        """Report the sparsity after training; returns it as facts of the stage's result."""
        if self.before is None:
            return {}
        after = full_profile(context, loaded).sparsity
        context.reporter.metric("encoder_sparsity", after)
        return {
            "sparsity_kept": bool(self.plugins),
            "encoder_sparsity_before": self.before,
            "encoder_sparsity": after,
        }


def decide(context: StageContext, loaded: Loaded, keep: bool | None) -> Sparsity:
    """Keep a pruned model's zeros through training unless the stage says ``keep: false``."""
    profile = full_profile(context, loaded)
    if not profile.is_sparse:
        if keep:
            context.reporter.log("keep_sparsity: the model has no pruned weights to keep")
        return Sparsity((), None)
    sparsity = profile.sparsity
    if keep is False:
        context.reporter.log(
            f"keep_sparsity is false: training fills the pruned weights; encoder sparsity was "
            f"{sparsity:.1%}",
        )
        return Sparsity((), sparsity)
    context.reporter.log(f"pruned weights stay zero: encoder sparsity {sparsity:.1%}")
    return Sparsity((KeepZeros(),), sparsity)
