"""Cut the least important attention heads out of an encoder."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_heads import PruneHeads
from workers.job.context import StageContext, StageResult
from workers.methods.heads import importance_of
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.structured.head_steps import Choice, remove_in_steps
from workers.training.structured.units import without_least
from workers.training.training_stage import finish


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Remove heads in steps, each followed by recovery if requested, and save the model.

    Raises:
        JobError: The model is untrained or 8-bit, or its heads cannot be removed.
        Interrupted: A stop was requested; the next attempt resumes in the same step.

    Source: Michel, Levy, Neubig 2019, section 4, arXiv:1905.10650.
    """
    assert isinstance(params, PruneHeads)
    loaded = for_use(context)
    importance = partial(
        importance_of, loaded.model, kind=params.importance, normalize=params.normalize
    )
    facts = remove_in_steps(context, loaded, params, Choice(importance, without_least))
    return finish(context, loaded, facts)
