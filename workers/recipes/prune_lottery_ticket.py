"""Find a sparse ticket by iterative magnitude pruning with rewinding, and train it."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_lottery_ticket import PruneLotteryTicket
from workers.job.context import StageContext, StageResult
from workers.methods.lottery_ticket import plan, random_ticket
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.pruning.stage import require_prunable
from workers.training.pruning.tickets import train_ticket
from workers.training.training_stage import finish


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Find the ticket, train it or a control, and save the model.

    Raises:
        JobError: The model is 8-bit or has nothing to prune, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes in the same round.

    Source: Chen et al. 2020, section 3, algorithm 1, arXiv:2007.12223.
    """
    assert isinstance(params, PruneLotteryTicket)
    loaded = for_training(context, training_labels(context), params.seed)
    require_prunable(context, loaded)
    if params.control == "random_mask":
        random_ticket(loaded.model, params)
    facts = train_ticket(context, loaded, params, plan(loaded.model, params))
    return finish(context, loaded, facts)
