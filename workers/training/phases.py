"""A stage that trains its model in phases, each with its own losses, options and length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pricetag.recipes.training import FullTraining
from workers.job.context import StageContext, StageResult
from workers.training import sparsity
from workers.training.cost.tally import Tally
from workers.training.data.tokens import TokenData
from workers.training.finetune import new_tally, training_data
from workers.training.fit import Horizon, Outcome, fit, report_training
from workers.training.model.loaded import Loaded
from workers.training.plugin import LossTerm, Plugin
from workers.training.rounds import Result, Round, run_rounds
from workers.training.training_stage import finish


@dataclass(frozen=True)
class Phase:
    """One part of a stage's training, with its own optimizer and schedule.

    ``begin`` changes the model in place before the phase, the same way in every attempt. If it
    ``changes_modules``, it is repeated before the weights of a finished phase are loaded.
    """

    name: str
    options: FullTraining
    horizon: Horizon
    losses: Sequence[LossTerm]
    plugins: Sequence[Plugin] = ()
    begin: Callable[[], None] | None = None
    changes_modules: bool = False


def train_in_phases(
    context: StageContext,
    loaded: Loaded,
    params: FullTraining,
    phases: Sequence[Phase],
    facts: Mapping[str, Any] | None = None,
    *,
    data: TokenData | None = None,
    tally: Tally | None = None,
) -> StageResult:
    """Train a model in phases, report the training and save the model.

    A finished phase survives a kill; an unfinished one resumes from its own checkpoint.

    Args:
        context: The stage's context.
        loaded: The model, trained in place.
        params: The stage's options.
        phases: The phases in order.
        facts: Further facts for the card of the model.
        data: Training data, if not the training split.
        tally: The stage's operations, where some were done before.

    Raises:
        JobError: The data cannot be used, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.
    """
    if data is None:
        data = training_data(context, loaded, params.max_length)
    zeros = sparsity.decide(context, loaded, params.keep_sparsity)
    tally = tally or new_tally(context, loaded)

    def one_phase(round_: Round) -> Result:
        phase = phases[round_.number]
        if len(phases) > 1:
            context.reporter.log(f"phase {round_.number + 1} of {len(phases)}: {phase.name}")
        if phase.begin is not None:
            phase.begin()
        return fit(
            context,
            loaded,
            data,
            phase.options,
            horizon=phase.horizon,
            losses=phase.losses,
            plugins=[*phase.plugins, *zeros.plugins],
            folder=round_.folder,
            tally=tally,
        ).as_json()

    finished = iter(phases)

    def change_again(result: Result) -> None:
        phase = next(finished)  # those that an earlier attempt finished come first, in order
        if phase.changes_modules and phase.begin is not None:
            phase.begin()

    results = run_rounds(context, loaded.model, len(phases), one_phase, change_again=change_again)
    outcomes = [Outcome(**result) for result in results]
    report_training(context, outcomes)
    steps = {phase.name: outcome.steps for phase, outcome in zip(phases, outcomes, strict=True)}
    by_phase = {"steps_by_phase": steps} if len(phases) > 1 else {}
    pruned = zeros.report(context, loaded, [p for phase in phases for p in phase.plugins])
    return finish(context, loaded, {**outcomes[-1].facts(), **by_phase, **(facts or {}), **pruned})
