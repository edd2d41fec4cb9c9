"""Train with a group lasso over neurons and heads, cut out the small ones, and fine-tune."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_group_lasso import PruneGroupLasso
from workers.job.context import StageContext, StageResult
from workers.methods.group_lasso import resizing
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.structured.checks import require_units
from workers.training.structured.resizing import resize_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train with the penalty, cut out small groups, train the rest, and save the model.

    Raises:
        JobError: The model is 8-bit or cannot be sliced, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.

    Source: Dodge et al. 2019, section 3, arXiv:1909.03011.
    """
    assert isinstance(params, PruneGroupLasso)
    loaded = for_training(context, training_labels(context), params.seed)
    require_units(context, loaded)
    return resize_and_save(context, loaded, params, resizing(loaded.model, params))
