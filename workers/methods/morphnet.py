"""MorphNet: a regularizer weighted by operations or size shrinks layers; then all are widened.

Source: Gordon, Eban, Nachum, Chen, Wu, Yang, Choi 2018, MorphNet: Fast & Simple
Resource-Constrained Structure Learning of Deep Networks, arXiv:1711.06798, whose layers are
convolutions; here they are the neurons and heads of an encoder.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from pricetag.recipes.methods.prune_morphnet import PruneMorphnet
from workers.training.formats.sliced import head_size
from workers.training.forward_pass import ForwardPass
from workers.training.plugin import LossTerm
from workers.training.structured.budget import Budget, Sizes
from workers.training.structured.groups import (
    Group,
    Kind,
    Norms,
    best_of,
    group_norms,
    groups_of,
    sizes_of,
)
from workers.training.structured.resizing import NewSizes, Resizing
from workers.training.structured.units import Units

KINDS: tuple[Kind, ...] = ("heads", "neurons")
Cost = Literal["flops", "size"]
Number = torch.Tensor | float


def activation_norms(weights: Sequence[torch.Tensor], l1_fraction: float = 0.0) -> torch.Tensor:
    """The regularizer of each activation, from the weights that compute it.

    (1 - l1_fraction) * L2 / sqrt(n) + l1_fraction * L1 / n with its n weights, so that the norm
    does not depend on the width of the layer before.

    Args:
        weights: Weights of the activations, or groups of them, each tensor ``[activations, ...]``.
        l1_fraction: Share of the L1 norm; 0 for the root mean square.

    Returns:
        ``[activations]``

    Source: the authors' ``GroupLassoRegularizer``.
    """
    count = sum(weight[0].numel() for weight in weights)
    norms: torch.Tensor = group_norms(weights) / count**0.5
    if l1_fraction > 0:
        sums = torch.stack([weight.flatten(1).abs().sum(1) for weight in weights]).sum(0)
        norms = (1 - l1_fraction) * norms + l1_fraction * sums / count
    return norms


def is_alive(norms: torch.Tensor, threshold: float) -> torch.Tensor:
    """Whether each activation's norm is above the threshold.

    Source: the authors' ``GroupLassoRegularizer``.
    """
    return norms > threshold


@dataclass(frozen=True)
class Side:
    """Inputs or outputs of a product.

    Attributes:
        alive: Number of live inputs or outputs.
        regularization: Sum of their regularizers, the dead ones included.
    """

    alive: Number
    regularization: Number = 0.0

    @classmethod
    def of(cls, norms: torch.Tensor, threshold: float, width: int = 1) -> Side:
        """A side of activations in groups of a width that share a norm."""
        alive = is_alive(norms.detach(), threshold).sum()
        return cls(width * alive, width * norms.sum())


def bilinear_cost(coefficient: float, inputs: Side, outputs: Side) -> Number:
    """Cost of a product: coefficient * alive inputs * alive outputs.

    Args:
        coefficient: Cost of one input and one output: 2 operations for each token, 1 weight.
        inputs: Inputs of the product.
        outputs: Outputs of the product.

    Source: Gordon et al. 2018, section 4; the authors' ``_calculate_bilinear_cost``.
    """
    return coefficient * inputs.alive * outputs.alive


def bilinear_regularization(coefficient: float, inputs: Side, outputs: Side) -> Number:
    """The penalty of a product: each side's regularizer, times the other's number alive.

    coefficient * (alive_in * reg_out + alive_out * reg_in), scalar.

    Args:
        coefficient: As for ``bilinear_cost``.
        inputs: Inputs of the product.
        outputs: Outputs of the product.

    Source: Gordon et al. 2018, section 4; the authors' ``_calculate_bilinear_regularization``.
    """
    return coefficient * (
        inputs.alive * outputs.regularization + outputs.alive * inputs.regularization
    )


Product = tuple[float, Side, Side]


def products(heads: Side, neurons: Side, hidden: int, cost: Cost, length: int) -> list[Product]:
    """The products of a layer: 2L(4H*A + 2H*I) + 4L^2*A operations, or 4H*A + 2H*I weights.

    The hidden states have no regularizer: all layers add to them.

    Args:
        heads: The A outputs of the heads.
        neurons: The I neurons.
        hidden: H, width of the hidden states.
        cost: Operations on a text, or weights.
        length: L, tokens of the text.
    """
    states = Side(hidden)
    coefficient: float = 2 * length if cost == "flops" else 1
    matrices: list[Product] = [(coefficient, states, heads)] * 3 + [
        (coefficient, heads, states),
        (coefficient, states, neurons),
        (coefficient, neurons, states),
    ]
    if cost == "size":
        return matrices
    return [*matrices, (coefficient, Side(2 * length), heads)]  # scores and weighted sum


def cost_of(sizes: Sizes, head_width: int, hidden: int, cost: Cost, length: int) -> float:
    """Cost of the layers of an encoder, all heads and neurons alive.

    Args:
        sizes: Heads and neurons of each layer.
        head_width: Width of a head.
        hidden: Width of the hidden states.
        cost: Operations on a text, or weights.
        length: Tokens of the text.
    """
    return sum(
        float(bilinear_cost(*product))
        for heads, neurons in sizes
        for product in products(Side(heads * head_width), Side(neurons), hidden, cost, length)
    )


def widened(
    sizes: Sizes, cost: Callable[[Sizes], float], budget: float
) -> tuple[float, list[tuple[int, int]]]:
    """The largest factor of all widths at which the cost is within the budget.

    Widths are rounded down to whole heads and neurons, at least one of each.

    Args:
        sizes: Heads and neurons of each layer, O'.
        cost: Cost of an encoder of such sizes, F.
        budget: Largest accepted cost, zeta.

    Returns:
        The factor omega, and the sizes floor(omega * O').

    Raises:
        ValueError: One head and one neuron per layer cost more than the budget.

    Source: Gordon et al. 2018, algorithm 1, step 3.
    """

    def scaled(factor: Fraction) -> list[tuple[int, int]]:
        return [(max(int(factor * h), 1), max(int(factor * n), 1)) for h, n in sizes]

    least = Fraction(0)
    if cost(scaled(least)) > budget:
        raise ValueError("one head and one neuron per layer cost more than the budget")
    high = 1
    while cost(scaled(Fraction(high))) <= budget:
        high *= 2
    widths = {width for size in sizes for width in size}
    factors = {Fraction(k, width) for width in widths for k in range(1, high * width)}
    changes = [least, *sorted(factors)]  # where a width changes
    best = bisect.bisect_right(changes, 0, key=lambda f: cost(scaled(f)) > budget) - 1
    return float(changes[best]), scaled(changes[best])


def morphed(
    norms: Sequence[Norms], threshold: float, cost: Callable[[Sizes], float], budget: float
) -> tuple[Units, list[tuple[int, int]], float]:
    """The shrunk and widened sizes of an encoder.

    Args:
        norms: Regularizers of the heads and neurons of each layer.
        threshold: Norm up to which one is dead; one of each kind always lives.
        cost: Cost of an encoder of some sizes.
        budget: Largest accepted cost.

    Returns:
        The heads and neurons that stay (those of the largest norms where the budget is less than
        the shrunk encoder costs), the sizes of each layer in all, and the factor.

    Source: Gordon et al. 2018, algorithm 1, steps 2 and 3.
    """
    alive = [{kind: is_alive(values, threshold) for kind, values in of.items()} for of in norms]
    counts = [(max(int(of["heads"].sum()), 1), max(int(of["neurons"].sum()), 1)) for of in alive]
    factor, sizes = widened(counts, cost, budget)
    units: dict[str, list[list[int]]] = {}
    for place, kind in enumerate(KINDS):
        fewest = [min(old[place], new[place]) for old, new in zip(counts, sizes, strict=True)]
        units[kind] = [
            best_of(of[kind], living[kind], count)
            for of, living, count in zip(norms, alive, fewest, strict=True)
        ]
    return Units(**units), sizes, factor


def norms_of(model: PreTrainedModel, l1_fraction: float) -> list[Norms]:
    """Regularizers of the neurons and heads of each layer, from the weights that compute them.

    A head's is that of all weights of its query, key and value: they stay or leave together.

    Args:
        model: A BERT-shaped model.
        l1_fraction: As for ``activation_norms``.
    """

    def of(group: Group) -> torch.Tensor:
        return activation_norms(group.incoming, l1_fraction=l1_fraction)

    return [{kind: of(group) for kind, group in layer.items()} for layer in groups_of(model, KINDS)]


class MorphPenalty(LossTerm):
    """The regularizer of all layers, as a share of their initial cost.

    Args:
        weight: Factor of the term; the authors search around 1.
        cost: Operations or weights.
        length: Tokens of the text whose operations count.
        threshold: Norm up to which a neuron or a head is dead.
        l1_fraction: As for ``activation_norms``.
    """

    name = "morphnet"
    reads_logits = False
    uncounted = ("the regularizer of MorphNet",)

    def __init__(
        self, weight: float, cost: Cost, length: int, threshold: float, l1_fraction: float
    ) -> None:
        self.weight = weight
        self._cost: Cost = cost
        self._length = length
        self._threshold = threshold
        self._l1_fraction = l1_fraction
        self._model: nn.Module | None = None
        self._first = 1.0

    def attach(self, model: nn.Module) -> None:
        """The initial cost."""
        assert isinstance(model, PreTrainedModel)
        self._model = model
        sizes, hidden = sizes_of(model), int(model.config.hidden_size)
        self._first = cost_of(sizes, head_size(model), hidden, self._cost, self._length)

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        model = self._model
        assert isinstance(model, PreTrainedModel)
        hidden, width = int(model.config.hidden_size), head_size(model)
        total: Number = 0.0
        for layer in norms_of(model, self._l1_fraction):
            heads = Side.of(layer["heads"], self._threshold, width)
            neurons = Side.of(layer["neurons"], self._threshold)
            for product in products(heads, neurons, hidden, self._cost, self._length):
                total = total + bilinear_regularization(*product)
        assert isinstance(total, torch.Tensor)
        return total / self._first


def resizing(model: PreTrainedModel, params: PruneMorphnet, budget: Budget) -> Resizing:
    """How a stage shrinks and widens its layers.

    Args:
        model: The model, which the stage changes in place.
        params: The stage's options.
        budget: Budget of operations.
    """

    def shrink_and_widen() -> NewSizes:
        with torch.no_grad():
            norms = norms_of(model, params.l1_fraction)
        units, sizes, factor = morphed(norms, params.threshold, budget.cost, budget.limit)
        return NewSizes(units, sizes, {"width_multiplier": factor})

    penalty = MorphPenalty(
        params.strength, params.cost, params.length, params.threshold, params.l1_fraction
    )
    return Resizing(
        terms=[penalty],
        plugins=[],
        decide=shrink_and_widen,
        options=params.model_copy(update={"schedule": "constant"}),
        times=params.iterations,
        fresh=params.start == "scratch",
    )
