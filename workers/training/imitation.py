"""Loss terms of a student that has its teacher's shape: inner states, and the teacher's classes.

Source: Xu, Yen, Zhao, Xiao 2021, Rethinking Network Pruning under the Pre-train and Fine-tune
Paradigm, arXiv:2104.08682.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch.nn import functional

from workers.training.forward_pass import ForwardPass
from workers.training.model.recording import Needs
from workers.training.plugin import LossTerm
from workers.training.teacher import Teacher, TeacherOutputs


def states_loss(student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean squared difference of hidden states, summed over embeddings and layers.

    Args:
        student: States ``[batch, seq, hidden]`` of embeddings and layers.
        teacher: States of the teacher, of the same shapes.

    Source: Xu et al. 2021, section 3.2 (L_hidn).
    """
    losses = [
        functional.mse_loss(own, theirs) for own, theirs in zip(student, teacher, strict=True)
    ]
    return torch.stack(losses).sum()


def soft_cross_entropy(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the student's with the teacher's classes at temperature 1, batch mean.

    With one output (a score) it is the mean squared difference.

    Args:
        student: Logits ``[batch, classes]``.
        teacher: Logits of the same shape.

    Source: Xu et al. 2021, section 3.2 (L_pred).
    """
    if student.shape[-1] == 1:
        return functional.mse_loss(student, teacher)
    soft = functional.softmax(teacher, dim=-1)
    return -(soft * functional.log_softmax(student, dim=-1)).sum(-1).mean()


class Imitation(LossTerm):
    """Inner states of student and teacher, layer by layer.

    Args:
        teacher: A model of the student's shape.
    """

    reads_logits = False

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    @abstractmethod
    def states(self, outputs: ForwardPass | TeacherOutputs) -> Sequence[torch.Tensor]:
        """The compared states of a model, in single precision."""

    def loss(
        self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """The difference of the states of both models."""
        return states_loss(student, teacher)

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        theirs = self.states(self.teacher.outputs(forward))
        return self.loss(self.states(forward), theirs)


class States(Imitation):
    """Hidden states of embeddings and layers."""

    name = "hidden"
    needs = Needs(hidden_states=True)

    def states(self, outputs: ForwardPass | TeacherOutputs) -> Sequence[torch.Tensor]:
        """See ``Imitation.states``."""
        return [state.float() for state in outputs.hidden_states]


class Prediction(LossTerm):
    """The teacher's classes, or its score.

    Args:
        teacher: A model with the student's classes.
    """

    name = "prediction"

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        return soft_cross_entropy(forward.logits, self.teacher.outputs(forward).logits)
