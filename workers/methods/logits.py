"""Distillation by logits.

Source: Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, section 2,
arXiv:1503.02531.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from workers.training.forward_pass import ForwardPass
from workers.training.plugin import LossTerm
from workers.training.teacher import Teacher

Choices = Callable[[Any, ForwardPass], Sequence[torch.Tensor]]
"""From a model's outputs on a batch the logits of its choices, as ``Task.choices``."""


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 * KL(teacher_T || student_T), mean over the choices; 0 where there is none.

    T^2 keeps the size of the gradient when the temperature changes. With one output (a
    score) it is the mean squared error to the teacher.

    Args:
        student: Logits ``[choices, options]``: of each example, or of each token that is predicted.
        teacher: Logits of the same choices; -inf for an option that cannot be chosen.
        temperature: T.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531.
    """
    if student.shape[-1] == 1:
        return functional.mse_loss(student, teacher)
    impossible = teacher.isneginf()
    own = functional.log_softmax(student / temperature, dim=-1).masked_fill(impossible, 0.0)
    theirs = functional.log_softmax(teacher / temperature, dim=-1).masked_fill(impossible, 0.0)
    divergence = functional.kl_div(own, theirs, reduction="sum", log_target=True)
    return temperature**2 * (divergence / max(len(student), 1))


def _of_examples(outputs: Any, forward: ForwardPass) -> Sequence[torch.Tensor]:
    return [outputs.logits.float()]


class SoftLabels(LossTerm):
    """The teacher's logits, softened by a temperature.

    Args:
        teacher: The model that the student learns from.
        weight: Factor of the term.
        temperature: T.
        choices: What is compared; by default the logits of each example.
    """

    name = "logits"

    def __init__(
        self,
        teacher: Teacher,
        weight: float,
        temperature: float,
        choices: Choices = _of_examples,
    ) -> None:
        self.teacher = teacher
        self.weight = weight
        self._temperature = temperature
        self._choices = choices

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``: the mean over the kinds of choices."""
        assert self.teacher is not None
        student = self._choices(forward.outputs, forward)
        teacher = self._choices(self.teacher.outputs(forward).outputs, forward)
        losses = [
            soft_loss(own, theirs, self._temperature)
            for own, theirs in zip(student, teacher, strict=True)
        ]
        return torch.stack(losses).mean()
