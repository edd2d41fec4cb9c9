"""Prune an encoder by the magnitude of its weights, and let it recover."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune import Prune
from workers.job.context import StageContext, StageResult
from workers.methods.magnitude import magnitude_prune, round_sparsities
from workers.training.finetune import count_model, new_tally, save, training_data
from workers.training.fit import Horizon, Outcome, fit, forget_checkpoints, report_training
from workers.training.formats.sparse import encoder_density, prunable
from workers.training.model.models import for_use, require_prunable
from workers.training.rounds import Result, Round, run_rounds
from workers.training.sparsity import KeepZeros


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Prune at once or in rounds, each followed by recovery training if asked for.

    Raises:
        JobError: the model is untrained, 8-bit, or has nothing to prune.
        Interrupted: a stop was asked for; the next attempt goes on from the checkpoint.

    Source: Han et al. 2015, section 3, arXiv:1506.02626; Gordon et al. 2020,
    arXiv:2002.08307.
    """
    assert isinstance(params, Prune)
    loaded = for_use(context)
    require_prunable(loaded, context.field)
    tally = new_tally(context, loaded)
    sparsities = round_sparsities(params.sparsity, params.rounds)

    def one_round(one: Round) -> Result:
        magnitude_prune(prunable(loaded.model), sparsities[one.number], params.scope)
        context.reporter.log(
            f"round {one.number + 1} of {params.rounds}: {sparsities[one.number]:.1%} pruned"
        )
        if params.recovery_epochs == 0:
            return {}
        data = training_data(context, loaded, params.max_length)
        horizon = Horizon(params.recovery_epochs)
        plugins = [KeepZeros()]
        outcome = fit(
            context,
            loaded,
            data,
            params,
            horizon=horizon,
            plugins=plugins,
            folder=one.folder,
            tally=tally,
        )
        return outcome.as_json()

    results = run_rounds(context, loaded.model, params.rounds, one_round)
    if params.recovery_epochs > 0:
        report_training(context, [Outcome(**result) for result in results])
    sparsity = 1 - encoder_density(loaded.model)
    context.reporter.metric("encoder_sparsity", sparsity)
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(model_folder=folder, facts={"encoder_sparsity": sparsity})
