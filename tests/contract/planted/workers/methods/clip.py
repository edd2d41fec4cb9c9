"""Weights within a limit, while a model trains."""

from __future__ import annotations

import torch
from torch import nn

from workers.training.plugin import Plugin, Step


def clip_weights(model: nn.Module, limit: float) -> None:
    """Clamp the weights of every linear layer to ``[-limit, limit]``, in place.

    Source: Arjovsky, Chintala, Bottou 2017, algorithm 1, arXiv:1701.07875.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.clamp_(-limit, limit)


class ClipWeights(Plugin):
    """Clips after every optimizer step."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._model: nn.Module | None = None

    def attach(self, model: nn.Module) -> None:
        """Remember the model, and clip what it starts from."""
        self._model = model
        clip_weights(model, self.limit)

    def after_step(self, step: Step) -> None:
        """Clip what the optimizer has moved."""
        if self._model is not None:
            clip_weights(self._model, self.limit)
