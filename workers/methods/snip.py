"""SNIP: pruning by connection sensitivity, once, before training.

Source: Lee, Ajanthan, Torr 2019, SNIP: Single-shot Network Pruning based on Connection
Sensitivity, section 4, arXiv:1810.02340.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from pricetag.recipes.methods.prune_snip import PruneSnip
from workers.job.context import StageContext
from workers.training.cost.tally import Tally
from workers.training.formats.sparse import Matrix
from workers.training.model.loaded import Loaded
from workers.training.pruning.gradients import gradients
from workers.training.pruning.masks import Scores


def saliencies(
    weights: Mapping[str, torch.Tensor], gradients: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The sensitivity of the loss to each connection, |dL/dc| = |g * w|, in the weights' shapes.

    Args:
        weights: Weights by name.
        gradients: Gradients of the loss on a batch, in the same shapes.

    Source: Lee et al. 2019, section 4.1, equation 3.
    """
    return {name: (gradients[name] * weight.detach()).abs() for name, weight in weights.items()}


def normalized(batches: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of the saliencies of several batches, divided by their sum over all connections.

    Saliencies that are all zero stay so.

    Args:
        batches: Saliencies of each batch, by name.

    Source: Lee et al. 2019, section 4.1, equation 4.
    """
    mean = {
        name: torch.stack([batch[name] for batch in batches]).mean(dim=0) for name in batches[0]
    }
    total = sum(float(values.sum(dtype=torch.float64)) for values in mean.values())
    return {name: values / total if total > 0 else values for name, values in mean.items()}


def sensitivity(
    context: StageContext, loaded: Loaded, params: PruneSnip
) -> Callable[[Tally, Mapping[str, Matrix]], Scores]:
    """The score of a stage: normalized saliencies on its first batches.

    Args:
        context: The stage's context.
        loaded: The model.
        params: The stage's options.

    Source: Lee et al. 2019, section 4, algorithm 1.
    """

    def score(tally: Tally, matrices: Mapping[str, Matrix]) -> Scores:
        weights = {name: matrix.weight for name, matrix in matrices.items()}
        batches = gradients(context, loaded, params, matrices, params.batches, tally)
        return normalized([saliencies(weights, each) for each in batches])

    return score
