"""Sparse Progressive Distillation: pruned layers are grafted onto their teacher, and learn there.

Source: Huang, Zhou, Wang, Xu, Yu, Zhang, Ding 2022, Sparse Progressive Distillation: Resolving
Overfitting under Pretrain-and-Finetune Paradigm, arXiv:2110.08190.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch

from pricetag.recipes.methods.prune_spd import PruneSpd
from workers.training.cost.flops import FlopProfile
from workers.training.formats.sparse import Matrix
from workers.training.forward_pass import ForwardPass
from workers.training.grafting import Rate, Replacing, linear_rate
from workers.training.imitation import Imitation, states_loss
from workers.training.model.recording import Needs
from workers.training.pruning.masker import by_magnitude
from workers.training.pruning.masks import Masks, kept_rounded_down
from workers.training.pruning.schedule import Ramp
from workers.training.teacher import Teacher, TeacherOutputs

NEEDS = Needs(hidden_states=True, attention_scores=True)
"""Recordings of the grafted model, and of the teacher's layers that are in it."""


def constant_then_linear_rate(
    step: int, rate: float, steps: int, base: float, slope: float
) -> float:
    """A constant rate for ``steps`` steps, then linear from ``base``, counted from there.

    A constant rate of 1 stays: no layer of the teacher comes back.

    Args:
        step: Number of finished optimizer steps.
        rate: The constant rate.
        steps: Steps at that rate. The first step always has it, even if this is 0.
        base: Rate after ``steps`` steps.
        slope: Growth for each further step.

    Source: Huang et al. 2022, section 3.3; the authors' released code.
    """
    if step < max(steps, 1) or rate == 1:
        return rate
    return linear_rate(step - steps, base, slope)


def probabilities_loss(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Mean squared difference of attention probabilities, summed over the layers.

    Padded rows and columns are in the means; the probability of a padded column is 0.

    Args:
        student: Probabilities ``[batch, heads, seq, seq]`` of the layers, before dropout.
        teacher: Probabilities of the teacher, of the same shapes.

    Source: Huang et al. 2022, section 3.4 (L_attn).
    """
    return states_loss(student, teacher)


class Probabilities(Imitation):
    """Attention probabilities of the layers."""

    name = "attention"
    needs = Needs(attention_scores=True)

    def states(self, outputs: ForwardPass | TeacherOutputs) -> Sequence[torch.Tensor]:
        """See ``Imitation.states``."""
        shown = [layer.probabilities for layer in outputs.attention]
        return [state.float() for state in shown if state is not None]

    def loss(
        self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """See ``Imitation.loss``."""
        return probabilities_loss(student, teacher)


def ramp_of(params: PruneSpd) -> Ramp:
    """The sparsity of each matrix over the steps.

    Args:
        params: The stage's options.
    """
    return Ramp(
        params.sparsity, end=params.ramp_end, updates=params.updates, last=params.final_update
    )


def masks_at(matrices: Mapping[str, Matrix], sparsity: float) -> Masks:
    """Masks of the largest weights of each matrix; their number is rounded down.

    Args:
        matrices: Matrices by name.
        sparsity: Share of the weights that is pruned.

    Source: the authors' code.
    """
    return by_magnitude(matrices, sparsity, kept_rounded_down)


def rate_of(params: PruneSpd) -> Rate:
    """The probability of a graft over the steps: constant while weights are pruned, then rising.

    Args:
        params: The stage's options.
    """
    base = params.graft_rate if params.graft_base is None else params.graft_base

    def rate(step: int, total: int) -> float:
        pruning = ramp_of(params).steps(total)[1]
        slope = params.graft_slope
        if slope is None:
            slope = (1 - base) / max(math.ceil((total - pruning) / 2), 1)
        return constant_then_linear_rate(step, params.graft_rate, pruning, base, slope)

    return rate


def grafting_of(params: PruneSpd, teacher: Teacher, profile: FlopProfile) -> Replacing:
    """The plug-in that grafts the student's layers onto a copy of its teacher.

    Args:
        params: The stage's options.
        teacher: The teacher; the copy computes with dropout, the teacher itself without.
        profile: Operations of the student.
    """
    return Replacing(copy.deepcopy(teacher.model), rate_of(params), profile, NEEDS)
