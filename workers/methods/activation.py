"""Pruning by weights and activations: the contribution of each weight to its output.

Source: Sun, Liu, Bair, Kolter 2024, A Simple and Effective Pruning Approach for Large Language
Models (Wanda), arXiv:2306.11695.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from transformers.pytorch_utils import Conv1D

from pricetag.recipes.methods.prune_activation import PruneActivation
from workers.job.context import StageContext
from workers.training.cost.tally import Tally
from workers.training.formats.sparse import Matrix
from workers.training.model.loaded import Loaded
from workers.training.pruning.activations import input_norms
from workers.training.pruning.masks import Scores


def contributions(weight: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """The score of each weight, |w_ij| * ||x_j||, in its matrix's shape.

    Args:
        weight: Matrix ``[out, in]``.
        norms: Euclidean norm of each input feature over all tokens ``[in]``.

    Source: Sun et al. 2024, section 3, equation 1.
    """
    return weight.detach().abs() * norms


def ranks_in_rows(score: torch.Tensor) -> torch.Tensor:
    """The rank of each score in its row, from 0 for the lowest to below 1, in the scores' shape.

    One ranking of them prunes the same share of every row. Equal scores are ordered by position,
    the earlier one higher.

    Args:
        score: Scores ``[rows, columns]``.

    Source: Sun et al. 2024, section 3, comparison by output.
    """
    columns = score.shape[1]
    order = score.sort(dim=1, descending=True, stable=True).indices
    places = torch.arange(columns - 1, -1, -1, device=score.device).expand_as(order)
    ranks = torch.empty_like(order).scatter_(1, order, places)
    return ranks.double() / columns


def contribution(
    context: StageContext, loaded: Loaded, params: PruneActivation
) -> Callable[[Tally, Mapping[str, Matrix]], Scores]:
    """The score of a stage: contributions on its first batches, by row or as they are.

    Args:
        context: The stage's context.
        loaded: The model.
        params: The stage's options.

    Source: Sun et al. 2024, section 3.
    """

    def score(tally: Tally, matrices: Mapping[str, Matrix]) -> Scores:
        norms = input_norms(context, loaded, params, matrices, params.batches, tally)
        return {name: _score(each, norms[name]) for name, each in matrices.items()}

    def _score(matrix: Matrix, norms: torch.Tensor) -> torch.Tensor:
        turned = isinstance(matrix, Conv1D)  # [in, out]
        weight = matrix.weight.t() if turned else matrix.weight
        values = contributions(weight, norms)
        values = ranks_in_rows(values) if params.per_row else values
        return values.t() if turned else values

    return score
