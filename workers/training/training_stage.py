"""A stage that trains its model and saves it, as train, distill and methods like them do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pricetag.recipes.training import FullTraining
from workers.job.context import StageContext, StageResult
from workers.training import sparsity
from workers.training.continuation import WHOLE, Part
from workers.training.cost.tally import Tally
from workers.training.data.tokens import TokenData
from workers.training.finetune import new_tally, save, training_data
from workers.training.fit import Horizon, fit, forget_checkpoints, report_training
from workers.training.model.loaded import Loaded
from workers.training.plugin import LossTerm, Plugin
from workers.training.tasks.base import Batches


def train_and_save(
    context: StageContext,
    loaded: Loaded,
    params: FullTraining,
    *,
    losses: Sequence[LossTerm] = (),
    plugins: Sequence[Plugin] = (),
    facts: Mapping[str, Any] | None = None,
    uncounted: Sequence[str] = (),
    data: TokenData | None = None,
    tally: Tally | None = None,
    batches: Batches | None = None,
) -> StageResult:
    """Train a model for the stage's epochs or steps; report the training and save the model.

    Args:
        context: The stage's context.
        loaded: The model, trained in place.
        params: The stage's options.
        losses: Terms of the loss; only the task's own if there are none.
        plugins: Techniques that take part; the zeros of a pruned model are kept after them.
        facts: Further facts for the card of the model.
        uncounted: Work of the stage before the training whose operations are not counted.
        data: Training data, if not the training split.
        tally: The stage's operations, where some were done before.
        batches: Makes the collator, instead of the task's own.

    Raises:
        JobError: The data cannot be used, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.
    """
    trained = train(
        context,
        loaded,
        params,
        losses=losses,
        plugins=plugins,
        uncounted=uncounted,
        data=data,
        tally=tally,
        batches=batches,
    )
    return finish(context, loaded, {**trained, **(facts or {})})


def train(
    context: StageContext,
    loaded: Loaded,
    params: FullTraining,
    *,
    losses: Sequence[LossTerm] = (),
    plugins: Sequence[Plugin] = (),
    uncounted: Sequence[str] = (),
    data: TokenData | None = None,
    tally: Tally | None = None,
    batches: Batches | None = None,
    part: Part = WHOLE,
) -> dict[str, Any]:
    """Train a model in place as ``train_and_save`` does, without saving it; returns its facts.

    With a ``part``, only its steps are done; the checkpoint at its start must be there.
    """
    if data is None:
        data = training_data(context, loaded, params.max_length)
    if tally is None and uncounted:
        tally = new_tally(context, loaded, uncounted)
    zeros = sparsity.decide(context, loaded, params.keep_sparsity)
    outcome = fit(
        context,
        loaded,
        data,
        params,
        horizon=Horizon(params.effective_epochs, params.max_steps),
        losses=losses,
        plugins=[*plugins, *zeros.plugins],
        stop_at=part.stop,
        tally=tally,
        batches=batches,
    )
    report_training(context, [outcome], before=part)
    return {**outcome.facts(), **zeros.report(context, loaded, plugins)}


def finish(context: StageContext, loaded: Loaded, facts: Mapping[str, Any]) -> StageResult:
    """Save the stage's model and remove its checkpoints."""
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(model_folder=folder, facts=facts)
