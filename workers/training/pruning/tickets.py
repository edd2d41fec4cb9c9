"""A stage that trains, prunes and rewinds in rounds, and then trains the remaining weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from pricetag.recipes.training import FullTraining
from workers.job.context import StageContext
from workers.training.finetune import full_profile, new_tally, training_data
from workers.training.fit import Horizon, Outcome, fit, report_training
from workers.training.formats.sparse import Matrix
from workers.training.model.loaded import Loaded
from workers.training.plugin import Plugin
from workers.training.pruning.masker import KeepZeros
from workers.training.pruning.masks import Masks, apply_masks, kept_share
from workers.training.rounds import Result, Round, Snapshot, run_rounds

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Tickets:
    """How a stage finds its ticket.

    Attributes:
        rounds: Number of rounds before the last training.
        rewind_at: Share of the first training to rewind to; None for no rewinding.
        rewinds: Whether a tensor of this name is rewound.
        select: The matrices that are pruned, by name.
        masks: Chooses the masks after a round, from 0.
        control: Changes the weights that the last training starts from; they are of the rewound
            tensors, by name.
    """

    rounds: int
    rewind_at: float | None
    rewinds: Callable[[str], bool]
    select: Callable[[nn.Module], Mapping[str, Matrix]]
    masks: Callable[[Mapping[str, Matrix], int], Masks]
    control: Callable[[Tensors], Tensors] = lambda tensors: tensors


def train_ticket(
    context: StageContext, loaded: Loaded, params: FullTraining, tickets: Tickets
) -> dict[str, Any]:
    """Find a ticket and train it in place; reports it, and returns facts for its card.

    Args:
        context: The stage's context.
        loaded: The model.
        params: Options of every training.
        tickets: How the ticket is found.

    Raises:
        Interrupted: A stop was requested; the next attempt resumes in the same round.
    """
    early = context.folder / "rewind.safetensors"
    tally = new_tally(context, loaded)

    def one_round(round_: Round) -> Result:
        plugins: list[Plugin] = [KeepZeros(tickets.select)]
        if round_.number == 0 and tickets.rounds > 0 and tickets.rewind_at is not None:
            plugins.append(Snapshot(early, tickets.rewind_at))
        outcome = fit(
            context,
            loaded,
            training_data(context, loaded, params.max_length),
            params,
            horizon=Horizon(params.effective_epochs, params.max_steps),
            plugins=plugins,
            folder=round_.folder,
            tally=tally,
        )
        if round_.number < tickets.rounds:
            _prune_and_rewind(context, loaded, tickets, round_.number, early)
        return outcome.as_json()

    results = run_rounds(context, loaded.model, tickets.rounds + 1, one_round)
    outcomes = [Outcome(**result) for result in results]
    report_training(context, outcomes)
    sparsity = full_profile(context, loaded).sparsity
    context.reporter.metric("encoder_sparsity", sparsity)
    return {**outcomes[-1].facts(), "encoder_sparsity": sparsity, "rounds": tickets.rounds}


def _prune_and_rewind(
    context: StageContext, loaded: Loaded, tickets: Tickets, number: int, early: Path
) -> None:
    matrices = tickets.select(loaded.model)
    masks = tickets.masks(matrices, number)
    if tickets.rewind_at is not None:
        tensors: Tensors = {n: t for n, t in load_file(early).items() if tickets.rewinds(n)}
        if number == tickets.rounds - 1:
            tensors = tickets.control(tensors)
        loaded.model.load_state_dict(dict(tensors), strict=False)
    apply_masks(matrices, masks)
    pruned = 1 - kept_share(list(masks.values()))
    context.reporter.log(f"round {number + 1} of {tickets.rounds}: {pruned:.1%} pruned")
