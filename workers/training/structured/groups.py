"""Groups of weights that leave a layer together: those of a neuron, and those of a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.job.context import StageContext
from workers.training.formats.sliced import head_size, layer_sizes
from workers.training.model.recording import encoder_layers

Kind = Literal["neurons", "heads"]
Norms = Mapping[Kind, torch.Tensor]
"""A norm of each neuron ``[neurons]`` and of each head ``[heads]`` of a layer."""

_ROWS: Mapping[Kind, tuple[str, ...]] = {
    "neurons": ("intermediate.dense",),
    "heads": ("attention.self.query", "attention.self.key", "attention.self.value"),
}
_COLUMNS: Mapping[Kind, str] = {"neurons": "output.dense", "heads": "attention.output.dense"}


@dataclass(frozen=True)
class Group:
    """Weights of one kind of groups in a layer, each tensor ``[groups, ...]`` a view of them.

    Attributes:
        incoming: Rows of the matrices before: those of query, key and value of a head.
        biases: Biases of these rows.
        outgoing: Columns of the matrix after.
    """

    incoming: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    outgoing: torch.Tensor

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """All weights of the groups, biases included."""
        return (*self.incoming, *self.biases, self.outgoing)


def groups_of(model: PreTrainedModel, kinds: Sequence[Kind]) -> list[dict[Kind, Group]]:
    """The groups of each layer of a BERT-shaped model, as views that training changes.

    Args:
        model: The model.
        kinds: Kinds of groups.
    """
    return [{kind: _group(model, layer, kind) for kind in kinds} for layer in encoder_layers(model)]


def _group(model: PreTrainedModel, layer: nn.Module, kind: Kind) -> Group:
    rows = 1 if kind == "neurons" else head_size(model)

    def grouped(weight: torch.Tensor, axis: int) -> torch.Tensor:
        split: torch.Tensor = weight.movedim(axis, 0).unflatten(0, (-1, rows))  # type: ignore[no-untyped-call]
        return split

    before = [layer.get_submodule(name) for name in _ROWS[kind]]
    after = layer.get_submodule(_COLUMNS[kind])
    biases = [module.bias for module in before if isinstance(module.bias, torch.Tensor)]
    return Group(
        tuple(grouped(module.get_parameter("weight"), 0) for module in before),
        tuple(grouped(bias, 0) for bias in biases),
        grouped(after.get_parameter("weight"), 1),
    )


def group_norms(content: Sequence[torch.Tensor], axes: int = 1) -> torch.Tensor:
    """L2 norm of all weights of each group, ``[*groups]``.

    Its gradient is 0 for a group of zeros.

    Args:
        content: Weights of the groups, each tensor ``[*groups, ...]``.
        axes: Number of the leading axes that number the groups.
    """
    parts = [
        torch.linalg.vector_norm(tensor, dim=tuple(range(axes, tensor.dim()))) for tensor in content
    ]
    norms: torch.Tensor = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    return norms


def best_of(norms: torch.Tensor, alive: torch.Tensor, count: int | None = None) -> list[int]:
    """The groups that stay, at least one: those alive, or a number of the largest norms.

    Args:
        norms: Norm of each group ``[groups]``.
        alive: Whether each group is alive ``[groups]``.
        count: How many stay; None for all that are alive.

    Returns:
        Their numbers, rising; of equal norms the first one stays.
    """
    count = max(int(alive.sum()), 1) if count is None else count
    values = norms.tolist()
    order = sorted(range(len(values)), key=lambda number: (-values[number], number))
    return sorted(order[:count])


def sizes_of(model: PreTrainedModel) -> list[tuple[int, int]]:
    """Heads and neurons of each layer."""
    return [layer_sizes(model, number) for number in range(len(encoder_layers(model)))]


def report_sizes(
    context: StageContext, model: PreTrainedModel, before: Sequence[tuple[int, int]]
) -> dict[str, object]:
    """Report the heads and neurons that a model has now; returns facts for its card."""
    after = sizes_of(model)
    heads, neurons = map(sum, zip(*before, strict=True))
    heads_left, neurons_left = map(sum, zip(*after, strict=True))
    context.reporter.metric("heads_left", heads_left)
    context.reporter.metric("neurons_left", neurons_left)
    context.reporter.log(
        f"heads: {heads} before, {heads_left} now; neurons: {neurons} before, {neurons_left} now"
    )
    if list(before) == after:
        context.reporter.log(
            "the sizes of the layers have not changed: a larger weight of the penalty, a larger "
            "threshold or a longer training removes groups"
        )
    return {
        "heads_before": heads,
        "heads_left": heads_left,
        "neurons_before": neurons,
        "neurons_left": neurons_left,
        "sizes_by_layer": [{"heads": h, "neurons": n} for h, n in after],
    }
