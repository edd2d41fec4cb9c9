"""A budget of operations for an encoder whose layers change their sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.finetune import model_profile
from workers.training.formats.sliced import head_size
from workers.training.model.loaded import Loaded
from workers.training.structured.groups import sizes_of

Sizes = Sequence[tuple[int, int]]
"""Heads and neurons of each layer."""


@dataclass(frozen=True)
class Budget:
    """Operations that a forward pass may cost.

    Attributes:
        limit: The largest accepted number.
        length: Tokens of the text.
        hidden: Width of the hidden states.
        head_width: Width of a head.
        rest: Operations beside those of the layers, such as the head's.
    """

    limit: float
    length: int
    hidden: int
    head_width: int
    rest: float = 0.0

    def cost(self, sizes: Sizes) -> float:
        """Operations of a forward pass with layers of such sizes."""
        return self.rest + sum(
            encoder_layer_flops(
                EncoderShape(1, self.hidden, neurons, heads * self.head_width), self.length
            )
            for heads, neurons in sizes
        )


def budget_of(context: StageContext, loaded: Loaded, share: float, length: int) -> Budget:
    """A share of the operations that the model has now.

    Args:
        context: The stage's context.
        loaded: A BERT-shaped model.
        share: The share.
        length: Tokens of the text.

    Raises:
        JobError: ``budget-too-small`` if one head and one neuron per layer cost more, or
            ``bad-model`` if the operations are unknown.
    """
    model, sizes = loaded.model, sizes_of(loaded.model)
    plain = Budget(math.inf, length, int(model.config.hidden_size), head_size(model))
    now = model_profile(context, loaded).forward(length)
    if math.isnan(now):
        raise JobError("bad-model", "the model's operations cannot be counted", context.field)
    fixed_cost = now - plain.cost(sizes)
    budget = Budget(share * now, length, plain.hidden, plain.head_width, fixed_cost)
    least = budget.cost([(1, 1)] * len(sizes))
    if least > budget.limit:
        raise JobError(
            "budget-too-small",
            f"one head and one neuron per layer are {least / now:.4f} of the model's operations; "
            f"use a budget of that or more (got {share})",
            f"{context.field}.budget",
        )
    return budget
