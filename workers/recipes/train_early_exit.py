"""Train a classifier with early exits, and calibrate them."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.train_early_exit import TrainEarlyExit
from workers.job.context import StageContext, StageResult
from workers.methods.early_exit import apply_exits, calibrate, count, report_curve, set_aside
from workers.training.finetune import new_tally, training_labels
from workers.training.model.models import for_training
from workers.training.training_stage import finish, train


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the operations of the model with its exits before the stage opens."""
    assert isinstance(params, TrainEarlyExit)
    count(context, params)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the model with exits, fit their temperatures, report the curve, and save the model.

    Raises:
        JobError: The model or the data cannot be used, or the model cannot have these exits.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Schwartz et al. 2020, The Right Tool for the Job, section 3, arXiv:2004.07453.
    """
    assert isinstance(params, TrainEarlyExit)
    loaded = for_training(context, training_labels(context), params.seed)
    exits = apply_exits(context, loaded, params)
    examples, aside = set_aside(context, loaded, params)
    tally = new_tally(context, loaded)
    facts = train(context, loaded, params, data=examples, tally=tally)
    facts |= calibrate(context, loaded, aside, tally)
    facts |= report_curve(context, loaded, params, tally)
    exits.threshold = params.threshold
    return finish(context, loaded, {**facts, "threshold": params.threshold})
