"""Patient knowledge distillation: a student learns the [CLS] states of its teacher's layers.

Source: Sun, Cheng, Gan, Liu 2019, Patient Knowledge Distillation for BERT Model Compression,
arXiv:1908.09355.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch.nn import functional

from pricetag.recipes.methods.distill_pkd import DistillPkd
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.forward_pass import ForwardPass
from workers.training.model.recording import Needs
from workers.training.plugin import LossTerm
from workers.training.teacher import Teacher


def patient_layers(teacher: int, student: int, choice: Literal["skip", "last"]) -> list[int]:
    """The teacher's layers, from 0, that the student's layers but the last learn from.

    ``skip`` spreads them over the teacher: every second one where it is twice as deep; ``last``
    takes those before the teacher's last.

    Args:
        teacher: Number of the teacher's layers.
        student: Number of the student's layers.
        choice: The paper's PKD-Skip or PKD-Last.

    Raises:
        ValueError: The student has more layers than the teacher.

    Source: Sun et al. 2019, section 3.2, figure 1.
    """
    if student > teacher:
        raise ValueError(f"the student has {student} layers, the teacher only {teacher}")
    if choice == "last":
        return list(range(teacher - student, teacher - 1))
    return [number * teacher // student - 1 for number in range(1, student)]


def layers_to_learn(
    context: StageContext, params: DistillPkd, depths: Mapping[str, int]
) -> list[int]:
    """The teacher's layers, from 0, that the student's layers but the last learn from.

    Args:
        context: The stage's context.
        params: The stage's options.
        depths: Numbers of ``teacher_layers`` and ``student_layers``.

    Raises:
        JobError: ``bad-student`` if the student has more layers than the teacher.
    """
    numbers = depths["teacher_layers"], depths["student_layers"]
    try:
        return patient_layers(*numbers, params.teacher_layers)
    except ValueError as error:
        raise JobError("bad-student", str(error), f"{context.field}.student.layers") from error


def patience_loss(
    student: torch.Tensor, teacher: torch.Tensor, *, normalize: bool = True
) -> torch.Tensor:
    """Mean squared difference between [CLS] states.

    The mean is over the batch, the layers and the hidden units, as in the authors' code; the
    paper's equation 7 has the sum over the units and layers.

    Args:
        student: States of the student's layers ``[batch, layers, hidden]``.
        teacher: States of the teacher's layers that they learn from, of the same shape.
        normalize: Whether each state is divided by its Euclidean length first.

    Source: Sun et al. 2019, equation 7.
    """
    if normalize:
        student, teacher = (
            functional.normalize(student, dim=-1),
            functional.normalize(teacher, dim=-1),
        )
    return functional.mse_loss(student, teacher)


class Patience(LossTerm):
    """The [CLS] states of the teacher's layers.

    Args:
        teacher: The model that the student learns from.
        layers: Its layers, from 0, for each of the student's layers but the last.
        weight: Factor of the term: the paper's beta.
        normalize: Whether each state is divided by its length first.
    """

    name = "patience"
    needs = Needs(hidden_states=True)

    def __init__(
        self, teacher: Teacher, layers: Sequence[int], weight: float, *, normalize: bool
    ) -> None:
        self.teacher = teacher
        self.weight = weight
        self._layers = layers
        self._normalize = normalize

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        states = self.teacher.outputs(forward).hidden_states
        own = first_tokens(forward.hidden_states[1 : 1 + len(self._layers)])
        theirs = first_tokens([states[1 + layer] for layer in self._layers])
        return patience_loss(own, theirs, normalize=self._normalize)


def first_tokens(states: Sequence[torch.Tensor]) -> torch.Tensor:
    """The first token's state of each layer, in fp32 ``[batch, layers, hidden]``.

    Args:
        states: Hidden states of the layers, each ``[batch, seq, hidden]``.
    """
    return torch.stack([layer[:, 0] for layer in states], dim=1).float()
