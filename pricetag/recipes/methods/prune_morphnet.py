"""Parameters of MorphNet."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.accounting.forecast.from_history import Work
from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops
from pricetag.recipes.kinds import Paper, RecipeEntry
from pricetag.recipes.pruning import REGULARIZED, Regularized
from pricetag.recipes.shapes import (
    FORMATS_WITH_UNITS,
    MisfitError,
    Shape,
    check_family,
    require_whole_layers,
)
from pricetag.recipes.training import examples_per_step


class PruneMorphnet(Regularized):
    """Shrink layers by a regularizer weighted by their cost, widen all to a budget, and retrain.

    Loss: the task's + strength * the regularizer / the cost at first. The regularizer of a product
    is coefficient * (alive inputs * regularizer of the outputs + alive outputs * regularizer of the
    inputs); a neuron's or head's own is the root mean square of the weights that compute it.

    Source: Gordon, Eban, Nachum, Chen, Wu, Yang, Choi 2018, MorphNet: Fast & Simple
    Resource-Constrained Structure Learning of Deep Networks, arXiv:1711.06798.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["morphnet"]
    strength: float = Field(
        1.0,
        gt=0,
        le=1e9,
        description="Weight of the regularizer, in units of 1 / the cost as an iteration begins.",
    )
    cost: Literal["flops", "size"] = Field(
        "flops", description="Cost that weights the regularizer: operations, or weights."
    )
    threshold: float = Field(
        1e-2, ge=0, le=1e6, description="Norm up to which a neuron or a head is dead."
    )
    l1_fraction: float = Field(
        0.0, ge=0, le=1, description="Share of the mean absolute value in the norm."
    )
    budget: float = Field(
        1.0,
        gt=0,
        le=16,
        description="Operations of a forward pass after widening, as a share of those before.",
    )
    length: int = Field(
        128, ge=1, le=8192, description="Number of tokens for which operations are counted."
    )
    iterations: int = Field(
        1, ge=1, le=20, description="Number of times that layers shrink and are widened."
    )
    start: Literal["scratch", "shrunk"] = Field(
        "scratch",
        description="Weights at the beginning of retraining: random ones, or the remaining ones "
        "with random new ones.",
    )
    recovery_epochs: float = Field(
        1.0, gt=0, le=10_000, description="Epochs of retraining without the regularizer."
    )


def _reshape(params: PruneMorphnet, shape: Shape) -> Shape:
    """Check that a head and a neuron a layer fit the budget, as far as the shape is known."""
    require_whole_layers(shape)
    after = replace(shape.of_format("sliced"), heads=None, intermediate_size=None)
    hidden, heads, neurons = shape.hidden_size, shape.heads, shape.intermediate_size
    if hidden is None or heads is None or neurons is None:
        return after
    least, now = (
        encoder_layer_flops(EncoderShape(1, hidden, inner, attention), params.length)
        for inner, attention in ((1, hidden // heads), (neurons, hidden))
    )
    if least > params.budget * now:
        raise MisfitError(
            "budget",
            f"one head and one neuron per layer are {least / now:.4f} of the layers' operations; "
            f"use more than that (got {params.budget})",
            "budget-too-small",
        )
    return after


def _work(params: PruneMorphnet, devices: int) -> Work:
    if params.max_steps is not None:
        steps = params.iterations * params.max_steps
        return Work(
            epochs=params.recovery_epochs,
            examples=float(steps * examples_per_step(params, devices)),
        )
    return Work(epochs=params.iterations * params.effective_epochs + params.recovery_epochs)


ENTRY = RecipeEntry(
    params=PruneMorphnet,
    title="Shrink and widen layers (MorphNet)",
    summary="Shrinks layers by what neurons and heads cost, widens all to a budget, retrains.",
    paper=Paper(
        "Gordon, Eban, Nachum, Chen, Wu, Yang, Choi (2018): MorphNet: Fast & Simple "
        "Resource-Constrained Structure Learning of Deep Networks. CVPR.",
        "https://arxiv.org/abs/1711.06798",
    ),
    example={
        "kind": "prune",
        "method": "morphnet",
        "strength": 100,
        "threshold": 0.02,
        "epochs": 1,
        "recovery_epochs": 0.25,
    },
    traits=replace(
        REGULARIZED,
        formats=FORMATS_WITH_UNITS,
        work=_work,
        check_model=check_family,
        reshape=_reshape,
        amount=REGULARIZED.amount | {"iterations"},
        tuning=REGULARIZED.tuning | {"strength", "l1_fraction"},
    ),
)
