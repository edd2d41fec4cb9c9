"""Heads and feed-forward neurons of an encoder: numbered, ranked, and cut out of its matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.training.formats.sliced import head_size, slice_layer
from workers.training.model.recording import encoder_layers

Numbers = list[list[int]]
"""For each layer the numbers of its heads or of its neurons, as in the model before pruning."""


@dataclass(frozen=True)
class Units:
    """Heads and neurons of each layer."""

    heads: Numbers
    neurons: Numbers

    def counts(self) -> tuple[int, int]:
        """Numbers of heads and of neurons in all layers."""
        return sum(map(len, self.heads)), sum(map(len, self.neurons))

    def as_json(self) -> dict[str, Numbers]:
        """The units as plain data, by name: ``Units(**data)`` restores them."""
        return {"heads": self.heads, "neurons": self.neurons}


def units_of(model: PreTrainedModel) -> Units:
    """The heads and neurons of each layer, counted from 0.

    Raises:
        AttributeError: The layers are not BERT-shaped.
        ValueError: The layers are not known.
    """
    size = head_size(model)
    layers = encoder_layers(model)
    widths = [_linear(layer, "attention.self.query").out_features // size for layer in layers]
    inner = [_linear(layer, "intermediate.dense").out_features for layer in layers]
    return Units([list(range(width)) for width in widths], [list(range(n)) for n in inner])


def cut(model: PreTrainedModel, before: Units, after: Units) -> None:
    """Cut the heads and neurons that are no longer wanted out of a model, in place.

    Args:
        model: A BERT-shaped model whose units are ``before``.
        before: Units of each layer, in the order of its rows.
        after: Those of them that remain; at least one head and one neuron in each layer.

    Raises:
        ValueError: A unit is not among those before, or none would remain in a layer.
    """
    for number in range(len(before.heads)):
        old = before.heads[number], before.neurons[number]
        new = after.heads[number], after.neurons[number]
        if old != new:
            heads, neurons = (_places(*pair) for pair in zip(old, new, strict=True))
            slice_layer(model, number, heads, neurons)


def _places(old: Sequence[int], new: Sequence[int]) -> list[int]:
    place = {unit: position for position, unit in enumerate(old)}
    if missing := sorted(set(new) - set(old)):
        raise ValueError(f"units {missing[:5]} are not in the layer")
    return [place[unit] for unit in new]


def scale_units(
    model: PreTrainedModel, heads: Sequence[Sequence[float]], neurons: Sequence[Sequence[float]]
) -> None:
    """Multiply what each unit adds to the hidden states by a factor, in place.

    Args:
        model: A BERT-shaped model.
        heads: For each layer a factor of each head.
        neurons: For each layer a factor of each neuron.
    """
    size = head_size(model)
    for number, layer in enumerate(encoder_layers(model)):
        for name, factors, width in (
            ("attention.output.dense", heads[number], size),
            ("output.dense", neurons[number], 1),
        ):
            weight = _linear(layer, name).weight
            columns = torch.tensor(factors, dtype=weight.dtype, device=weight.device)
            with torch.no_grad():
                weight.mul_(columns.repeat_interleave(width))


def without_least(alive: Numbers, importance: Sequence[Sequence[float]], count: int) -> Numbers:
    """Remove the least important units, but never the most important one of a layer.

    Args:
        alive: Units of each layer.
        importance: Importance of each of these units.
        count: Number of units to remove; fewer are removed where a layer would otherwise have none
            left.

    Returns:
        The units that remain.

    Source: the rule of Michel et al. 2019, arXiv:1905.10650, ``what_to_prune`` of their code with
    one head a layer.
    """
    ranked = sorted(
        (value, layer, unit)
        for layer, (units, values) in enumerate(zip(alive, importance, strict=True))
        for unit, value in zip(units, values, strict=True)
    )
    best: dict[int, int] = {}
    for _, layer, unit in reversed(ranked):
        best.setdefault(layer, unit)
    removable = [(layer, unit) for _, layer, unit in ranked if best[layer] != unit]
    gone = set(removable[:count])
    return [
        [unit for unit in units if (layer, unit) not in gone] for layer, units in enumerate(alive)
    ]


def _linear(layer: nn.Module, name: str) -> Any:
    return layer.get_submodule(name)
