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
"""Returns the logits of a model's choices from its outputs on a batch, like ``Task.choices``."""

AT_ONCE = 2**18
"""Number of logits that are processed together on a CPU."""


def soft_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    temperature: float,
    *,
    mean_over_options: bool = False,
    weight: float = 1.0,
) -> torch.Tensor:
    """T^2 * KL(teacher_T || student_T), mean over the choices; 0 where there is none.

    T^2 keeps the size of the gradient when the temperature changes. With one output (a
    score) it is the mean squared error to the teacher.

    Args:
        student: Logits ``[..., options]``: of each example, or of each token that is predicted.
        teacher: Logits of the same choices; -inf for an option that cannot be chosen.
        temperature: T.
        mean_over_options: Divide by the number of options as well.
        weight: Factor that the caller gives to the loss, with which the gradient of logits of 16
            bits is rounded.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531.
    """
    if student.shape[-1] == 1:
        return functional.mse_loss(student, teacher)
    options = student.shape[-1]
    student, teacher = student.reshape(-1, options), teacher.reshape(-1, options)
    factor = weight / options if mean_over_options else weight
    loss: torch.Tensor = _Divergence.apply(student, teacher, temperature, factor)  # type: ignore[no-untyped-call]
    return loss / options if mean_over_options else loss


def _may_have_zeros(share: torch.Tensor) -> bool:
    """Whether a sum contains probabilities of 0, whose logarithm makes it nan.

    Always true on a GPU, since checking would wait for the device.
    """
    return share.is_cuda or bool(share.isnan())


def _log_likely(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """log softmax(logits / T), a new tensor of at least fp32."""
    if logits.element_size() < 4:
        return functional.log_softmax(logits.float().div_(temperature), dim=-1)
    return functional.log_softmax(logits / temperature, dim=-1)


class _Divergence(torch.autograd.Function):
    """The loss and, at once, its gradient: T (softmax(student / T) - softmax(teacher / T)) / N.

    The gradient is multiplied with the factor that the loss is expected to get.

    Over a vocabulary, logits are larger than the processor's cache, so a few rows at a time pass
    through all operations.
    """

    @staticmethod
    def forward(
        ctx: Any, student: torch.Tensor, teacher: torch.Tensor, temperature: float, factor: float
    ) -> torch.Tensor:
        rows = max(len(student), 1)
        at_once = rows if student.is_cuda else max(AT_ONCE // student.shape[-1], 1)
        gradient = torch.empty_like(student) if student.requires_grad else None
        wide = torch.float32 if student.element_size() < 4 else student.dtype
        total = student.new_zeros((), dtype=wide)
        for start in range(0, len(student), at_once):
            part = slice(start, start + at_once)
            own = _log_likely(student[part], temperature)
            theirs = _log_likely(teacher[part], temperature)
            likely = theirs.exp()
            difference = theirs.sub_(own)
            share = torch.dot(likely.flatten(), difference.flatten())
            if _may_have_zeros(share):  # 0 log 0 is 0
                difference.masked_fill_(teacher[part].isneginf(), 0.0)
                share = torch.dot(likely.flatten(), difference.flatten())
            total += share
            if gradient is not None:
                own.exp_().sub_(likely).mul_(temperature / rows * factor)
                gradient[part] = own
        if gradient is not None:
            ctx.save_for_backward(gradient)
            ctx.factor = factor
        return temperature**2 * (total / rows)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        further = upstream[0] / ctx.factor
        if further.is_cuda or float(further) != 1.0:
            gradient = gradient * further.to(gradient.dtype)
        return gradient, None, None, None


def _of_examples(outputs: Any, forward: ForwardPass) -> Sequence[torch.Tensor]:
    return [outputs.logits.float()]


class SoftLabels(LossTerm):
    """The teacher's logits, softened by a temperature.

    Args:
        teacher: The model that the student learns from.
        weight: Factor of the term.
        temperature: T.
        choices: Logits to compare; by default, those of each example.
        mean_over_options: Divide the loss by the number of options as well.
    """

    name = "logits"

    def __init__(
        self,
        teacher: Teacher,
        weight: float,
        temperature: float,
        choices: Choices = _of_examples,
        *,
        mean_over_options: bool = False,
    ) -> None:
        self.teacher = teacher
        self.weight = weight
        self._temperature = temperature
        self._choices = choices
        self._mean_over_options = mean_over_options

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``: the mean over the kinds of choices."""
        assert self.teacher is not None
        student = self._choices(forward.outputs, forward)
        teacher = self._choices(self.teacher.outputs(forward).outputs, forward)
        losses = [
            soft_loss(
                own,
                theirs,
                self._temperature,
                mean_over_options=self._mean_over_options,
                weight=self.weight / len(student) or 1.0,
            )
            for own, theirs in zip(student, teacher, strict=True)
        ]
        return torch.stack(losses).mean()
