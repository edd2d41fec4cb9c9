"""Inputs of a model's matrices on a few batches, for scores that need them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from pricetag.recipes.training import Optimisation
from workers.job.context import StageContext
from workers.training.cost.tally import Tally
from workers.training.finetune import full_profile
from workers.training.formats.exits import all_layers
from workers.training.formats.sparse import Matrix
from workers.training.model.loaded import Loaded
from workers.training.pruning.gradients import first_batches


def input_norms(
    context: StageContext,
    loaded: Loaded,
    options: Optimisation,
    matrices: Mapping[str, Matrix],
    batches: int,
    tally: Tally,
) -> dict[str, torch.Tensor]:
    """Euclidean norm of each input feature of matrices, over all tokens but padding.

    The examples are the first ones of the stage's order of training; the passes are in fp32
    without dropout.

    Args:
        context: The stage's context.
        loaded: The model; its weights stay as they are.
        options: Options of the training, with the size of a batch.
        matrices: Matrices of the model by name.
        batches: Maximum number of batches.
        tally: Tally of the stage's operations.

    Returns:
        Norms ``[in]`` in double precision, by name.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
        Interrupted: A stop was requested.
    """
    squares: dict[str, torch.Tensor] = {}
    counted, mask = full_profile(context, loaded), None

    def add(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        own = real_tokens(inputs[0].detach(), mask).double().square().sum(0)
        squares[name] = squares[name] + own if name in squares else own

    hooks = [
        matrix.register_forward_pre_hook(partial(add, name)) for name, matrix in matrices.items()
    ]
    try:
        for own, _ in first_batches(context, loaded, options, batches):
            mask = own.get("attention_mask")
            with torch.no_grad(), all_layers(loaded.model):
                loaded.model(**own)
            count, width = own["input_ids"].shape
            operations = (counted.flops.forward(width, each) for each in (1.0, counted.density))
            tally.add(*(count * each for each in operations))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: squares[name].sqrt() for name in matrices}


def real_tokens(states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The rows of states ``[..., features]`` that are not padding, ``[tokens, features]``."""
    if mask is not None and states.shape[:-1] == mask.shape:
        return states[mask.bool()]
    return states.reshape(-1, states.shape[-1])
