"""The loss of classification and regression."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from workers.training.forward_pass import ForwardPass
from workers.training.plugin import LossTerm


def task_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy for class numbers, mean squared error for scores (a float tensor)."""
    if labels.is_floating_point():
        return functional.mse_loss(logits.squeeze(-1), labels)
    return functional.cross_entropy(logits, labels)


def exit_loss(logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """The sum of the losses of several classifiers, each a mean over the batch.

    Args:
        logits: Of each classifier ``[batch, classes]``.
        labels: Class numbers ``[batch]``.

    Source: Schwartz et al. 2020, The Right Tool for the Job, section 3.1, arXiv:2004.07453.
    """
    return torch.stack([task_loss(each, labels) for each in logits]).sum()


class TaskLoss(LossTerm):
    """The loss against the labels of the data; with exits the sum of those of all classifiers."""

    name = "task"

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        every = getattr(forward.outputs, "exit_logits", None)
        if every is None:
            return task_loss(forward.logits, forward.labels)
        return exit_loss([logits.float() for logits in every], forward.labels)
