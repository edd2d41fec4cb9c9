"""Training in which a compressed model recovers; pruning in rounds, each followed by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pricetag.recipes.training import Optimisation, Recovery
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.finetune import loaded_profile, new_tally, training_data
from workers.training.fit import Horizon, Outcome, fit, report_training
from workers.training.formats.sparse import prunable
from workers.training.model.loaded import Loaded
from workers.training.rounds import Result, Round, run_rounds
from workers.training.sparsity import KeepZeros


def require_prunable(context: StageContext, loaded: Loaded) -> None:
    """Reject a model without encoder weights that can be set to zero.

    Raises:
        JobError: ``already-quantized`` or ``nothing-to-prune``.
    """
    if not loaded_profile(context, loaded).trainable:
        raise JobError("already-quantized", "prune before quantize, not after", context.field)
    if not prunable(loaded.model):
        raise JobError(
            "nothing-to-prune",
            f"no encoder layers are known in a {loaded.model.config.model_type} model",
            context.field,
        )


def recover(
    context: StageContext,
    loaded: Loaded,
    options: Recovery,
    *,
    uncounted: Sequence[str] = (),
) -> dict[str, Any]:
    """Train a compressed model in place; returns facts for its card.

    Args:
        context: The stage's context.
        loaded: The model.
        options: Options of the training, with its epochs.
        uncounted: Work of the compression itself whose operations are not counted.

    Raises:
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.
    """
    if options.recovery_epochs == 0:
        return {}
    outcome = fit(
        context,
        loaded,
        training_data(context, loaded, options.max_length),
        options,
        horizon=Horizon(options.recovery_epochs),
        tally=new_tally(context, loaded, uncounted),
    )
    report_training(context, [outcome])
    return outcome.facts()


def prune_in_rounds(
    context: StageContext,
    loaded: Loaded,
    options: Optimisation,
    prune: Callable[[int], float],
    *,
    rounds: int,
    epochs: float,
) -> None:
    """Prune a model in place, and train it after each pruning with its zeros kept.

    Args:
        context: The stage's context.
        loaded: The model.
        options: Options of the training.
        prune: Prunes the model for a round, counted from 0; returns the sparsity.
        rounds: Number of rounds.
        epochs: Epochs of training after each pruning; 0 for none.

    Raises:
        Interrupted: A stop was requested; the next attempt resumes in the same round.
    """
    tally = new_tally(context, loaded)

    def one_round(one: Round) -> Result:
        sparsity = prune(one.number)
        context.reporter.log(f"round {one.number + 1} of {rounds}: {sparsity:.1%} pruned")
        if epochs == 0:
            return {}
        outcome = fit(
            context,
            loaded,
            training_data(context, loaded, options.max_length),
            options,
            horizon=Horizon(epochs),
            plugins=[KeepZeros()],
            folder=one.folder,
            tally=tally,
        )
        return outcome.as_json()

    results = run_rounds(context, loaded.model, rounds, one_round)
    if epochs > 0:
        report_training(context, [Outcome(**result) for result in results])
