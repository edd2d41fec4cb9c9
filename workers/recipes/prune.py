"""Prune an encoder by the magnitude of its weights, and let it recover."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune as torch_prune

from pricetag.recipes.stages import Prune, StageParams
from workers.job import ranks, steps
from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.training.cost.tally import Tally
from workers.training.finetune import count_operations, fit, new_tally, report_training, save
from workers.training.formats.pruning import encoder_density, prunable
from workers.training.formats.quantized import int8_modules
from workers.training.loop import Length, Outcome, forget_checkpoints
from workers.training.model import models
from workers.training.model.models import Loaded, for_use, needed, read_config
from workers.training.plugins import Masker

Scope = Literal["global", "per_matrix"]


def magnitude_prune(matrices: Mapping[str, nn.Linear], sparsity: float, scope: Scope) -> None:
    """Set the smallest weights to zero, in place and for good.

    Args:
        matrices: what may be pruned, by name.
        sparsity: share of *all* their weights that is zero afterwards; zeros that are there
            already count, being smallest.
        scope: one threshold for all matrices, or one for each.

    Source: Han et al. 2015, section 3, arXiv:1506.02626.
    """
    places = [(module, "weight") for module in matrices.values()]
    if scope == "global":
        torch_prune.global_unstructured(
            places, pruning_method=torch_prune.L1Unstructured, amount=sparsity
        )
    else:
        for module, name in places:
            torch_prune.l1_unstructured(module, name, sparsity)  # type: ignore[no-untyped-call]
    for module, name in places:
        # The mask goes into the weights: plain parameters again.
        torch_prune.remove(module, name)  # type: ignore[no-untyped-call]


def round_sparsities(sparsity: float, rounds: int) -> list[float]:
    """The sparsity after each round: equal shares of the weights that are to go.

    Source: Han et al. 2015, section 3.4, iterative pruning.
    """
    return [sparsity * (number + 1) / rounds for number in range(rounds)]


class KeepZeros(Masker):
    """Keeps at zero what is zero when training starts: after every step, the mask again."""

    def __init__(self) -> None:
        self._masks: list[tuple[torch.Tensor, torch.Tensor]] = []

    def attach(self, model: nn.Module) -> None:
        """Take the masks from the weights."""
        self._masks = [
            (module.weight, (module.weight != 0).detach()) for module in prunable(model).values()
        ]

    def state(self) -> dict[str, torch.Tensor]:
        """The masks, in the order of the matrices."""
        return {str(number): mask for number, (_, mask) in enumerate(self._masks)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take back the masks of a checkpoint."""
        self._masks = [
            (weight, state[str(number)]) for number, (weight, _) in enumerate(self._masks)
        ]

    def after_step(self, done: int, total: int) -> None:
        """Zero what the optimizer has moved."""
        with torch.no_grad():
            for weight, mask in self._masks:
                weight.mul_(mask.to(weight.device))


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_operations(context, read_config(needed(context)))


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
    _check(context, loaded)
    tally = new_tally(context, loaded)
    trained: list[Outcome] = []
    for number, sparsity in enumerate(round_sparsities(params.sparsity, params.rounds)):
        outcome = _finished_round(context, loaded, number)
        if outcome is None:
            outcome = _round(params, context, loaded, number, sparsity, tally)
        if outcome is not None:
            trained.append(outcome)
    if trained:
        report_training(context, trained)
    found = 1 - encoder_density(loaded.model)
    context.reporter.metric("encoder_sparsity", found)
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(model_folder=folder, facts={"encoder_sparsity": found})


def _check(context: StageContext, loaded: Loaded) -> None:
    if int8_modules(loaded.model):
        raise JobError("already-quantized", "prune before quantize, not after", context.field)
    if not prunable(loaded.model):
        raise JobError(
            "nothing-to-prune",
            f"no encoder layers are known in a {loaded.model.config.model_type} model",
            context.field,
        )


def _round(
    params: Prune,
    context: StageContext,
    loaded: Loaded,
    number: int,
    sparsity: float,
    tally: Tally,
) -> Outcome | None:
    """One pruning and its recovery; None without recovery."""
    magnitude_prune(prunable(loaded.model), sparsity, params.scope)
    context.reporter.log(f"round {number + 1} of {params.rounds}: {sparsity:.1%} pruned")
    if params.recovery_epochs == 0:
        return None
    outcome = fit(
        context,
        loaded,
        params,
        Length(params.recovery_epochs),
        plugins=[KeepZeros()],
        folder=_round_folder(context, number),
        tally=tally,
        density=encoder_density(loaded.model),
    )
    if ranks.rank() == 0 and number + 1 < params.rounds:
        folder = _round_folder(context, number)
        models.save(loaded, folder / "model")
        steps.write_atomically(folder / "round.json", json.dumps(asdict(outcome)))
    return outcome


def _finished_round(context: StageContext, loaded: Loaded, number: int) -> Outcome | None:
    """Take over a round that an earlier attempt finished."""
    folder = _round_folder(context, number)
    note = folder / "round.json"
    if not note.exists():
        return None
    loaded.model.load_state_dict(load_file(folder / "model" / "model.safetensors"))
    context.reporter.log(f"round {number + 1}: finished in an earlier attempt")
    return Outcome(**json.loads(note.read_text()))


def _round_folder(context: StageContext, number: int) -> Path:
    return context.folder / "checkpoints" / f"round-{number:02d}"
