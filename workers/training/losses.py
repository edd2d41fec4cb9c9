"""The loss of classification and regression."""

from __future__ import annotations

import torch
from torch.nn import functional

from workers.training.forward_pass import ForwardPass
from workers.training.plugin import LossTerm


def task_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy for class numbers, mean squared error for scores (a float tensor)."""
    if labels.is_floating_point():
        return functional.mse_loss(logits.squeeze(-1), labels)
    return functional.cross_entropy(logits, labels)


class TaskLoss(LossTerm):
    """The loss against the labels of the data."""

    name = "task"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        return task_loss(forward.logits, forward.labels)
