"""Matrices of low rank, by truncated singular value decomposition (SVD).

Source: Eckart and Young 1936, doi:10.1007/BF02288367; Sainath et al. 2013,
doi:10.1109/ICASSP.2013.6638949.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from pricetag.accounting.work.low_rank import largest_rank
from workers.training.factors.svd import factors
from workers.training.formats.low_rank import Shapes, factorize, plain_weight, shapes_of
from workers.training.formats.sparse import Matrix, prunable

Part = Literal["all", "attention", "feed_forward"]

_NEGLIGIBLE = 1e-12  # rounding in a sum of squares


def rank_for_energy(values: torch.Tensor, energy: float) -> int:
    """The smallest rank whose squared singular values are a share ``energy`` of their sum.

    Args:
        values: Singular values, largest first.
        energy: Share between 0 and 1.
    """
    cumulative = (values.double() ** 2).cumsum(0)
    enough = cumulative >= (energy - _NEGLIGIBLE) * cumulative[-1]
    return int(enough.nonzero()[0]) + 1


def rank_for_ratio(inputs: int, outputs: int, ratio: float) -> int:
    """The largest rank whose factors have a share ``ratio`` of the matrix's weights; at least 1."""
    return max(1, int(ratio * inputs * outputs / (inputs + outputs) + _NEGLIGIBLE))


def ranks_for_budget(
    values: Mapping[str, torch.Tensor], shapes: Shapes, budget: float
) -> dict[str, int]:
    """Ranks that keep most energy of all matrices with a share ``budget`` of their weights.

    A further rank of a matrix ``[out, in]`` adds out + in weights and one squared singular value.
    The ranks with the most energy per weight are taken first, until one exceeds the budget. Every
    matrix has rank 1 or more, and no more than the largest rank that saves weights.

    Args:
        values: Singular values by matrix, largest first.
        shapes: (out, in) by matrix.
        budget: Share between 0 and 1.
    """
    ranks = dict.fromkeys(values, 1)
    left = budget * sum(rows * columns for rows, columns in shapes.values())
    left -= sum(rows + columns for rows, columns in shapes.values())
    candidates = [
        (-(float(value) ** 2) / sum(shapes[name]), number, name)
        for name, of_matrix in values.items()
        for number, value in enumerate(of_matrix[1 : largest_rank(*shapes[name])])
    ]
    for _, _, name in sorted(candidates):
        left -= sum(shapes[name])
        if left < -_NEGLIGIBLE:
            break
        ranks[name] += 1
    return ranks


def replaceable(model: nn.Module, part: Part) -> dict[str, Matrix]:
    """The matrices of the encoder's layers to replace: those of attention, feed-forward, or all."""

    def belongs(name: str) -> bool:
        in_attention = ".attention." in name or ".attn." in name
        return part == "all" or in_attention == (part == "attention")

    return {name: module for name, module in prunable(model).items() if belongs(name)}


def ranks_of(matrices: Mapping[str, Matrix], sizes: Mapping[str, float | None]) -> dict[str, int]:
    """The rank of each matrix by one of four rules, not compared with the largest that saves.

    Args:
        matrices: Matrices by name.
        sizes: One of ``rank`` (the same for all), ``ratio`` (see ``rank_for_ratio``), ``energy``
            (see ``rank_for_energy``) and ``budget`` (see ``ranks_for_budget``).
    """
    ((rule, size),) = [(rule, size) for rule, size in sizes.items() if size is not None]
    shapes = shapes_of(matrices)
    if rule == "rank":
        return dict.fromkeys(matrices, int(size))
    if rule == "ratio":
        return {name: rank_for_ratio(*shape, size) for name, shape in shapes.items()}
    values = {
        name: torch.linalg.svdvals(plain_weight(module).detach().cpu().float())
        for name, module in matrices.items()
    }
    if rule == "energy":
        return {name: rank_for_energy(of_one, size) for name, of_one in values.items()}
    return ranks_for_budget(values, shapes, size)


def apply_low_rank(model: nn.Module, ranks: Mapping[str, int]) -> float:
    """Replace matrices by their factors, in place.

    Args:
        model: The model, changed in place.
        ranks: Rank by the matrix's name.

    Returns:
        Share of the matrices' sum of squares that the factors keep.
    """
    kept_energy = total = 0.0
    for name, rank in ranks.items():
        module = model.get_submodule(name)
        assert isinstance(module, Matrix)
        weight = plain_weight(module).detach()
        first, second = factors(weight.cpu().float(), rank)
        kept_energy += float((second @ first).double().square().sum())
        total += float(weight.double().square().sum())
        factorize(model, name, first.to(weight), second.to(weight))
    return kept_energy / total if total else 1.0
