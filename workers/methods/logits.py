"""Distillation by logits.

Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, section 2,
arXiv:1503.02531.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from workers.training.forward_pass import ForwardPass
from workers.training.plugin import LossTerm
from workers.training.teacher import Teacher


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 * KL(teacher_T || student_T), mean over the batch; logits ``[batch, classes]``.

    T^2 keeps the size of the gradient when the temperature changes. With one output (a
    score) it is the mean squared error to the teacher.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531.
    """
    if student.shape[-1] == 1:
        return functional.mse_loss(student, teacher)
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, dim=-1),
        functional.log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


class SoftLabels(LossTerm):
    """The teacher's logits, softened by a temperature."""

    name = "logits"

    def __init__(self, teacher: Teacher, *, weight: float, temperature: float) -> None:
        self.teacher = teacher
        self.weight = weight
        self._temperature = temperature

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        return soft_loss(forward.logits, self.teacher.outputs(forward).logits, self._temperature)
