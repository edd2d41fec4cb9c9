"""Replace the matrices of an encoder by factors of low rank, with recovery training."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.factorize_low_rank import FactorizeLowRank
from workers.job.context import StageContext, StageResult
from workers.methods.low_rank import apply_low_rank, ranks_of, replaceable
from workers.training.decisions import decided
from workers.training.factors.factorization import UNCOUNTED, facts_of, require_factorable, saving
from workers.training.finetune import count_model
from workers.training.formats.low_rank import shapes_of
from workers.training.model.models import for_use
from workers.training.recovery import recover
from workers.training.training_stage import finish


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Factorize the current model, fine-tune it, and save it.

    Raises:
        JobError: The model is untrained, 8-bit or factorized already, or a rank saves nothing.
        Interrupted: A stop was requested; the next attempt resumes.

    Source: Eckart and Young 1936, doi:10.1007/BF02288367.
    """
    assert isinstance(params, FactorizeLowRank)
    loaded = for_use(context)
    shapes = shapes_of(matrices := replaceable(loaded.model, params.matrices))
    require_factorable(context, loaded, params, shapes)
    ranks = decided(context, "ranks", lambda: ranks_of(matrices, params.sizes))
    ranks = saving(context, ranks, shapes)
    facts = facts_of(shapes, ranks, apply_low_rank(loaded.model, ranks))
    facts |= recover(context, loaded, params, uncounted=UNCOUNTED)
    return finish(context, loaded, facts)
