"""Shrink layers by the cost of their neurons and heads, widen all to a budget, and retrain."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_morphnet import PruneMorphnet
from workers.job.context import StageContext, StageResult
from workers.methods.morphnet import resizing
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.structured.budget import budget_of
from workers.training.structured.checks import require_units
from workers.training.structured.resizing import resize_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train with the regularizer, shrink and widen the layers, retrain, and save the model.

    Raises:
        JobError: The model is 8-bit or cannot be sliced, or the budget is too small.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.

    Source: Gordon et al. 2018, algorithm 1, arXiv:1711.06798.
    """
    assert isinstance(params, PruneMorphnet)
    loaded = for_training(context, training_labels(context), params.seed)
    require_units(context, loaded)
    budget = budget_of(context, loaded, params.budget, params.length)
    return resize_and_save(context, loaded, params, resizing(loaded.model, params, budget))
