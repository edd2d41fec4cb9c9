"""Codebooks: weights of a matrix that share one of a few values.

Source: Han, Mao, Dally 2016, Deep Compression, section 3, arXiv:1510.00149; Gong et al. 2014,
Compressing Deep Convolutional Networks using Vector Quantization, arXiv:1412.6115.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import nn

from pricetag.recipes.methods.quantize_codebook import QuantizeCodebook
from workers.training.formats.integers import embeddings, linears
from workers.training.quantization.shared_weights import SharedWeights

EmptyClusters = Literal["relocate", "keep"]
ITERATIONS = 300


@dataclass(frozen=True)
class Clusters:
    """The result of k-means on numbers.

    Attributes:
        centroids: Shared values ``[clusters]``.
        labels: Cluster of each number ``[n]``.
        inertia: Sum of the squared distances to the centroids.
    """

    centroids: torch.Tensor
    labels: torch.Tensor
    inertia: float


def linear_init(values: torch.Tensor, clusters: int) -> torch.Tensor:
    """Centroids spread evenly between the smallest and the largest value ``[clusters]``.

    Source: Han et al. 2016, section 3.2, linear initialization.
    """
    low, high = (float(end) for end in torch.aminmax(values))
    return torch.linspace(low, high, clusters, dtype=values.dtype, device=values.device)


def k_means(
    values: torch.Tensor,
    start: torch.Tensor,
    *,
    empty: EmptyClusters = "relocate",
    iterations: int = ITERATIONS,
) -> Clusters:
    """Lloyd's algorithm on numbers, until no number changes its cluster.

    The linear grid has a hole around 0 after pruning, so that a cluster may have no members. It
    moves to the number that is farthest from its centroid, as in the authors' code (scikit-learn),
    or keeps its centroid.

    Args:
        values: Numbers ``[n]``.
        start: First centroids ``[clusters]``.
        empty: What happens to a cluster without members.
        iterations: Maximum number of updates of the centroids.

    Source: Han et al. 2016, section 3.1, equation 2, arXiv:1510.00149; Lloyd 1982,
    doi:10.1109/TIT.1982.1056489.
    """
    ordered, order = values.sort()
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    centroids, parts = start.clone(), _parts(ordered, start)
    for _ in range(iterations):
        counts, totals = parts.of_each(parts.ends), parts.of_each(sums[parts.ends])
        if empty == "relocate" and not bool(counts.all()):
            _relocate(values, parts.labels(order), centroids, counts, totals)
        updated = torch.where(counts > 0, totals / counts.clamp(min=1), centroids)
        is_still = torch.equal(updated, centroids)
        centroids, before = updated, parts
        parts = _parts(ordered, centroids)
        if is_still or parts.equals(before):
            break
    labels = parts.labels(order)
    inertia = float((values - centroids[labels]).square().sum())
    return Clusters(centroids, labels, inertia)


def cluster_matrix(
    weight: torch.Tensor, bits: int, *, empty: EmptyClusters = "relocate"
) -> tuple[torch.Tensor, torch.Tensor]:
    """The codebook of one matrix; zeros are in no cluster and stay zeros.

    Args:
        weight: ``[rows, columns]``.
        bits: Bits of a label: there are 2^bits centroids.
        empty: What happens to a cluster without members.

    Returns:
        Centroids in the type of ``weight`` ``[2^bits]``, and labels, uint8 ``[rows, columns]``
        (0 for zeros).

    Source: Han et al. 2016, section 3, arXiv:1510.00149.
    """
    mask = weight != 0
    values = weight[mask].double()
    labels = torch.zeros(weight.shape, dtype=torch.uint8, device=weight.device)
    centroids = torch.zeros(2**bits, dtype=torch.float64, device=weight.device)
    different = torch.unique(values)
    if len(different) <= 2**bits:  # each value is its own centroid
        centroids[: len(different)] = different
        labels[mask] = torch.searchsorted(different, values).to(torch.uint8)
    else:
        clusters = k_means(values, linear_init(values, 2**bits), empty=empty)
        centroids = clusters.centroids
        labels[mask] = clusters.labels.to(torch.uint8)
    return centroids.to(weight.dtype), labels


def centroid_gradient(
    gradient: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, clusters: int
) -> torch.Tensor:
    """The gradient of each centroid: the sum of the gradients of its members.

    Args:
        gradient: Gradient of the weights ``[rows, columns]``.
        labels: Cluster of each weight ``[rows, columns]``.
        mask: Weights that are not zero ``[rows, columns]``.
        clusters: Number of centroids.

    Source: Han et al. 2016, section 3.3, equation 3, arXiv:1510.00149.
    """
    sums = torch.zeros(clusters, dtype=gradient.dtype, device=gradient.device)
    return sums.index_add_(0, labels[mask].long(), gradient[mask])


def compression_rate(weights: int, bits: int, clusters: int) -> float:
    """n b / (n log2(k) + k b): bits of the weights before and after.

    Args:
        weights: n, number of weights.
        bits: b, bits of a weight before.
        clusters: k, number of shared values.

    Source: Han et al. 2016, equation 1, arXiv:1510.00149.
    """
    return weights * bits / (weights * math.log2(clusters) + clusters * bits)


@dataclass(frozen=True)
class _Parts:
    """Ordered numbers, divided among the centroids.

    Attributes:
        rank: The centroids in ascending order ``[clusters]``.
        ends: Where the part of each of them begins, and the number of numbers ``[clusters + 1]``.
    """

    rank: torch.Tensor
    ends: torch.Tensor

    def of_each(self, running: torch.Tensor) -> torch.Tensor:
        """The increase of a running total over each cluster's part ``[clusters]``."""
        increase = running.diff()
        result = torch.empty_like(increase)
        result[self.rank] = increase
        return result

    def labels(self, order: torch.Tensor) -> torch.Tensor:
        """The cluster of each number, in the numbers' own order."""
        labels = torch.empty_like(order)
        labels[order] = torch.repeat_interleave(self.rank, self.ends.diff())
        return labels

    def equals(self, other: _Parts) -> bool:
        """Whether each number has the same cluster."""
        return torch.equal(self.rank, other.rank) and torch.equal(self.ends, other.ends)


def _parts(ordered: torch.Tensor, centroids: torch.Tensor) -> _Parts:
    """The nearest centroid of each number; of two, the lower one."""
    rank = centroids.argsort(stable=True)
    sorted_centroids = centroids[rank]
    middles = (sorted_centroids[1:] + sorted_centroids[:-1]) / 2
    cuts = torch.searchsorted(ordered, middles, right=True)
    return _Parts(rank, torch.cat([cuts.new_zeros(1), cuts, cuts.new_tensor([len(ordered)])]))


def _relocate(
    values: torch.Tensor,
    labels: torch.Tensor,
    centroids: torch.Tensor,
    counts: torch.Tensor,
    totals: torch.Tensor,
) -> None:
    """Give each empty cluster the number that is farthest from its centroid, in place."""
    empty = torch.nonzero(counts == 0).flatten().tolist()
    if not empty:
        return
    distances = (values - centroids[labels]).square().cpu().numpy()
    if not distances.any():
        return
    farthest = np.argpartition(distances, -len(empty))[: -len(empty) - 1 : -1]
    for cluster, number in zip(empty, farthest.tolist(), strict=True):
        former, value = labels[number], values[number]
        totals[former] -= value
        counts[former] -= 1
        totals[cluster], counts[cluster] = value, 1


def with_codebooks(model: nn.Module, params: QuantizeCodebook, density: float) -> SharedWeights:
    """The training of a model whose matrices have been clustered under the options of a stage.

    Args:
        model: The model.
        params: Bits of a label, treatment of empty clusters, and whether embeddings are clustered.
        density: Share of the encoder's weights that are not zero.
    """
    names = linears(model) + (embeddings(model) if params.embeddings else [])
    cluster = partial(cluster_matrix, bits=params.bits, empty=params.empty_clusters)
    return SharedWeights(model, names, cluster, density)
