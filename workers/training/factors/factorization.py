"""Checks of a model and of the ranks of its matrices, before factors replace them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricetag.accounting.work.low_rank import largest_rank
from pricetag.recipes.methods.factorize_low_rank import (
    FactorizeLowRank,
    above_limit,
    budget_too_small,
)
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.formats import registry
from workers.training.formats.low_rank import FORMAT, Shapes
from workers.training.model.loaded import Loaded

UNCOUNTED = ("singular value decompositions",)


def require_factorable(
    context: StageContext, loaded: Loaded, params: FactorizeLowRank, shapes: Shapes
) -> None:
    """Reject a model, a rank or a budget with which no factors can be made.

    Args:
        context: The stage's context.
        loaded: The model.
        params: Options of the stage.
        shapes: (out, in) of each matrix to be replaced.

    Raises:
        JobError: ``already-quantized``, ``already-factorized``, ``nothing-to-factorize``,
            ``rank-above-limit`` or ``budget-too-small``.
    """
    notes = registry.describe(loaded.model)
    if registry.is_final(notes):
        raise JobError("already-quantized", "factorize before quantize, not after", context.field)
    if FORMAT.name in notes:
        raise JobError(
            "already-factorized",
            "the model's matrices are already factorized; factorize the model that it was made "
            "from",
            context.field,
        )
    if not shapes:
        raise JobError(
            "nothing-to-factorize",
            f"no such matrices are known in a {loaded.model.config.model_type} model",
            f"{context.field}.matrices",
        )
    if params.rank is not None:
        _require_below(context, params.rank, shapes)
    if params.budget is not None:
        _require_room(context, params.budget, shapes)


def _require_below(context: StageContext, rank: int, shapes: Shapes) -> None:
    limit, name = min((largest_rank(*shape), name) for name, shape in shapes.items())
    if rank > limit:
        rows, columns = shapes[name]
        raise JobError(
            "rank-above-limit",
            above_limit(rank, limit, f"{rows} x {columns} ({name})"),
            f"{context.field}.rank",
        )


def _require_room(context: StageContext, budget: float, shapes: Shapes) -> None:
    weights = sum(rows * columns for rows, columns in shapes.values())
    least = sum(rows + columns for rows, columns in shapes.values()) / weights
    if budget < least:
        raise JobError(
            "budget-too-small",
            budget_too_small(least),
            f"{context.field}.budget",
        )


def saving(context: StageContext, wanted: Mapping[str, int], shapes: Shapes) -> dict[str, int]:
    """The ranks at which factors save weights; matrices that need more stay whole.

    Raises:
        JobError: ``nothing-to-factorize``.
    """
    ranks = {name: rank for name, rank in wanted.items() if rank <= largest_rank(*shapes[name])}
    if not ranks:
        raise JobError(
            "nothing-to-factorize",
            "every matrix needs a rank at which its factors save no weights; keep less of them",
            context.field,
        )
    if unfactorized := len(wanted) - len(ranks):
        context.reporter.log(
            f"{unfactorized} of {len(wanted)} matrices stay whole: their factors would save no "
            "weights"
        )
    return ranks


def facts_of(shapes: Shapes, ranks: Mapping[str, int], energy: float) -> dict[str, Any]:
    """Facts for the card of the model: size and energy of its factors.

    Args:
        shapes: (out, in) of each matrix, before they were replaced.
        ranks: Rank by matrix.
        energy: Share of the matrices' sum of squares that the factors keep.
    """
    return {
        "factorized_matrices": len(ranks),
        "smallest_rank": min(ranks.values()),
        "largest_rank": max(ranks.values()),
        "weights_before": sum(shapes[name][0] * shapes[name][1] for name in ranks),
        "weights_after": sum(rank * sum(shapes[name]) for name, rank in ranks.items()),
        "energy_kept": energy,
    }
