"""The difference of attention scores of student and teacher, in few passes over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch

MASKED_SCORE = -100.0
"""Scores up to this value are those of padding, and count as 0."""


class _MaskedMeanSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        seen = own > MASKED_SCORE
        difference = torch.where(seen, own, 0.0)
        difference -= torch.where(theirs > MASKED_SCORE, theirs, 0.0)
        ctx.save_for_backward(difference, seen)
        return difference.square().mean()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        difference, seen = ctx.saved_tensors
        factor = gradient * (2.0 / difference.numel())
        return (difference * factor).mul_(seen), None


def scores_difference(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Mean squared difference of attention scores before the softmax, summed over the layers.

    Padded rows and columns are in the means; a padded column counts as 0, in both models.

    Args:
        student: Scores ``[batch, heads, seq, seq]`` of the layers.
        teacher: Scores of the teacher, of the same shapes; they get no gradient.

    Source: Jiao et al. 2020, equation 7 (L_attn), arXiv:1909.10351; Xu et al. 2021, section 3.2
    (L_att), arXiv:2104.08682.
    """
    losses = [
        cast(torch.Tensor, _MaskedMeanSquare.apply(own, theirs))  # type: ignore[no-untyped-call]
        for own, theirs in zip(student, teacher, strict=True)
    ]
    return torch.stack(losses).sum()
