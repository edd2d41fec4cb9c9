"""Matrices as two factors: x A B instead of x W."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.training.formats.base import Format, Note, require_format
from workers.training.formats.sparse import Matrix

Shapes = Mapping[str, tuple[int, int]]
"""(out, in) of matrices by name."""


class LowRankLinear(nn.Module):
    """A linear layer of rank r: ``[..., in]`` -> ``[..., r]`` -> ``[..., out]``.

    It has fewer weights than the full matrix while r < in * out / (in + out).
    """

    def __init__(self, in_features: int, rank: int, out_features: int, *, bias: bool) -> None:
        super().__init__()
        self.in_features, self.rank, self.out_features = in_features, rank, out_features
        self.first = nn.Linear(in_features, rank, bias=False)
        self.second = nn.Linear(rank, out_features, bias=bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See the class."""
        outputs: torch.Tensor = self.second(self.first(inputs))
        return outputs


def plain_weight(module: Matrix) -> torch.Tensor:
    """The weights of a matrix as ``[out, in]``, whichever way the module holds them."""
    return module.weight.T if isinstance(module, Conv1D) else module.weight


def shapes_of(matrices: Mapping[str, Matrix]) -> dict[str, tuple[int, int]]:
    """(out, in) of each matrix."""
    return {
        name: (plain_weight(module).shape[0], plain_weight(module).shape[1])
        for name, module in matrices.items()
    }


def factorize(model: nn.Module, name: str, first: torch.Tensor, second: torch.Tensor) -> None:
    """Replace the matrix of a linear layer by two factors, in place; its bias is kept.

    Args:
        model: The model, changed in place.
        name: Name of the layer.
        first: ``[rank, in]``.
        second: ``[out, rank]``.
    """
    linear = model.get_submodule(name)
    assert isinstance(linear, Matrix)
    factored = _factored(linear, len(first)).to(linear.weight.device)
    with torch.no_grad():
        factored.first.weight.copy_(first)
        factored.second.weight.copy_(second)
        if linear.bias is not None:
            factored.second.bias.copy_(linear.bias)
    model.set_submodule(name, factored)


def _factored(linear: Matrix, rank: int) -> LowRankLinear:
    outputs, inputs = plain_weight(linear).shape
    return LowRankLinear(inputs, rank, outputs, bias=linear.bias is not None)


class LowRank(Format):
    """A model with some matrices as two factors."""

    name = "low_rank"
    note_file = "low_rank.json"
    order = 30

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: the rank of each matrix."""
        ranks = {
            name: module.rank
            for name, module in model.named_modules()
            if isinstance(module, LowRankLinear)
        }
        return {"format": 1, "ranks": ranks} if ranks else None

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        for name, rank in note["ranks"].items():
            linear = model.get_submodule(name)
            if not isinstance(linear, Matrix):
                raise ValueError(f"{self.note_file}: {name} is not a linear layer")
            model.set_submodule(name, _factored(linear, rank))


FORMAT = LowRank()
