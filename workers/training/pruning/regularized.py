"""Training with a penalty that shrinks weights, then pruning and training of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pricetag.recipes.pruning import Regularized
from workers.training.fit import Horizon
from workers.training.formats.sparse import Matrix, prunable
from workers.training.model.loaded import Loaded
from workers.training.phases import Phase
from workers.training.plugin import LossTerm, Plugin
from workers.training.pruning.masker import KeepZeros
from workers.training.pruning.masks import Masks, Scope, apply_masks, choose
from workers.training.pruning.selection import with_pruned_others


def magnitudes(sparsity: float | None, scope: Scope) -> Callable[[Mapping[str, Matrix]], Masks]:
    """A choice of the largest weights; without a sparsity, of those that are not zero.

    Args:
        sparsity: Share of the weights that is pruned.
        scope: One ranking of all matrices, or one of each.
    """

    def masks(matrices: Mapping[str, Matrix]) -> Masks:
        scores = {name: matrix.weight.detach().abs() for name, matrix in matrices.items()}
        if sparsity is None:
            return {name: score > 0 for name, score in scores.items()}
        return choose(matrices, lambda _: scores, sparsity, scope)

    return masks


def pruned_after(
    name: str,
    loaded: Loaded,
    params: Regularized,
    losses: Sequence[LossTerm],
    plugins: Sequence[Plugin],
    masks: Callable[[Mapping[str, Matrix]], Masks],
) -> list[Phase]:
    """Two phases: training with the penalty, and training of the remaining weights.

    Args:
        name: Name of the first phase.
        loaded: The model.
        params: The stage's options.
        losses: Terms of the loss in the first phase; the first one alone in the second.
        plugins: Plug-ins of the first phase.
        masks: Chooses the weights that stay.
    """

    def prune() -> None:
        matrices = prunable(loaded.model)
        apply_masks(matrices, masks(matrices))

    usual = Horizon(params.effective_epochs, params.max_steps)
    return [
        Phase(name, params, usual, losses, plugins),
        Phase(
            "retraining",
            params,
            Horizon(params.recovery_epochs),
            losses[:1],
            [KeepZeros(with_pruned_others)],
            begin=prune,
        ),
    ]
