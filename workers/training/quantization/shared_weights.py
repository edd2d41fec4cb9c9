"""Training of the values that the weights of a matrix share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from workers.training.formats.codebook import to_codebook
from workers.training.model.precision import number_type
from workers.training.plugin import ParameterGroup, Plugin

Cluster = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Centroids ``[clusters]`` and labels ``[rows, columns]`` of a matrix ``[rows, columns]``."""

AT_ONCE = 2**18
"""Number of values that are summed together on a CPU."""


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, centroids: torch.Tensor, numbers: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        ctx.save_for_backward(numbers)
        ctx.clusters, ctx.dtype = len(centroids), centroids.dtype
        table = torch.cat([centroids, centroids.new_zeros(1)]).to(dtype)
        return table.index_select(0, numbers.flatten()).view(numbers.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (numbers,) = ctx.saved_tensors
        sums = member_sums(gradient, numbers, ctx.clusters + 1, ctx.dtype)
        return sums[:-1], None, None


def shared_weights(
    centroids: torch.Tensor, numbers: torch.Tensor, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """The weights of a matrix, with the gradient of a centroid summed over its members.

    Args:
        centroids: Shared values ``[clusters]``.
        numbers: Cluster of each weight, any shape; ``clusters`` for a zero.
        dtype: Type of the weights; default: that of the centroids.

    Source: Han et al. 2016, section 3.3, equation 3, arXiv:1510.00149.
    """
    return cast(torch.Tensor, _Shared.apply(centroids, numbers, dtype or centroids.dtype))  # type: ignore[no-untyped-call]


def member_sums(
    values: torch.Tensor, numbers: torch.Tensor, clusters: int, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """The sum of the values of each cluster ``[clusters]``, the same in each call.

    Args:
        values: Any shape.
        numbers: Cluster of each value, in their shape.
        clusters: Number of clusters.
        dtype: Type of the sums; default: that of the values.
    """
    dtype = dtype or values.dtype
    if values.device.type == "cpu":  # faster in parts, which stay in the cache
        total = torch.zeros(clusters, dtype=torch.float64)
        each = (torch.split(tensor.flatten(), AT_ONCE) for tensor in (values, numbers))
        for part, places in zip(*each, strict=True):
            total += torch.bincount(places, part.double(), clusters)
        return total.to(dtype)
    sums = values.new_zeros(clusters, dtype=dtype)
    return sums.index_put_((numbers,), values.to(dtype), accumulate=True)


class SharedWeights(Plugin):
    """Trains the centroids of some modules in place of their weights; labels stay as they are.

    The gradient of a centroid is the sum of those of its members. Zeros stay zeros. While attached,
    ``numbers`` has the cluster of each weight, by module.

    Args:
        model: The model.
        names: Names of the modules: Linear, Conv1D or Embedding.
        cluster: Makes the codebook of a matrix.
        density: Share of the encoder's weights that are not zero.

    Source: Han et al. 2016, section 3.3, arXiv:1510.00149.
    """

    def __init__(
        self, model: nn.Module, names: Sequence[str], cluster: Cluster, density: float
    ) -> None:
        self._names = list(names)
        self._density = density
        self.masks: dict[str, torch.Tensor] = {}
        self.labels: dict[str, torch.Tensor] = {}
        self.centroids: dict[str, nn.Parameter] = {}
        self.numbers: dict[str, torch.Tensor] = {}
        for name in names:
            module: Any = model.get_submodule(name)
            weight = module.weight.detach()
            rows = weight.t() if isinstance(module, Conv1D) else weight
            centroids, labels = cluster(rows)
            self.masks[name], self.labels[name] = rows != 0, labels
            self.centroids[name] = nn.Parameter(centroids.clone())

    def attach(self, model: nn.Module) -> None:
        """Compute with the centroids; the weights themselves are frozen."""
        for name in self._names:
            module: Any = model.get_submodule(name)
            device = module.weight.device
            self.centroids[name].data = self.centroids[name].data.to(device)
            self.masks[name] = self.masks[name].to(device)
            self.labels[name] = self.labels[name].to(device)
            if not isinstance(module, nn.Embedding):  # of a table, few rows are read
                self.numbers[name] = self._numbered(name, slice(None))
            module.weight.requires_grad_(False)
            module.forward = self._forward_of(name, module)

    def detach(self, model: nn.Module) -> None:
        """Restore the modules' own forward pass."""
        for name in self._names:
            del model.get_submodule(name).forward
        self.numbers.clear()

    @property
    def differentiated(self) -> list[str]:
        """Modules by whose whole weight a step differentiates, although it is not trained."""
        return list(self.numbers)

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """The centroids."""
        return [ParameterGroup(list(self.centroids.values()), weight_decay=0.0)]

    def density(self) -> float:
        """Share of the encoder's weights that are not zero; it stays the same in training."""
        return self._density

    def state(self) -> dict[str, torch.Tensor]:
        """The centroids of each module."""
        return {name: centroids.detach() for name, centroids in self.centroids.items()}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the centroids of a checkpoint."""
        for name, centroids in state.items():
            self.centroids[name].data.copy_(centroids)

    def convert(self, model: nn.Module) -> None:
        """Give the modules their codebooks, on the CPU, in place."""
        for name in self._names:
            parts = (self.centroids[name].data, self.labels[name], self.masks[name])
            to_codebook(model, name, *(part.cpu() for part in parts))

    def _forward_of(self, name: str, module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        centroids = self.centroids[name]

        def embedded(tokens: torch.Tensor) -> torch.Tensor:
            return shared_weights(centroids, self._numbered(name, tokens))

        def forward(values: torch.Tensor) -> torch.Tensor:
            # In the type of the product: converting a few shared values costs nothing.
            dtype = number_type(values.device.type, centroids.dtype)
            weight = shared_weights(centroids, self.numbers[name], dtype)
            return functional.linear(values, weight, module.bias)

        return embedded if isinstance(module, nn.Embedding) else forward

    def _numbered(self, name: str, rows: torch.Tensor | slice) -> torch.Tensor:
        """Cluster of each weight in rows of a module; the number of clusters for zeros."""
        labels, mask = self.labels[name][rows].int(), self.masks[name][rows]
        return labels.masked_fill_(~mask, len(self.centroids[name]))
