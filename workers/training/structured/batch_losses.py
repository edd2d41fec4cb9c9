"""Losses of batches of the training split, to be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch

from workers.job.context import StageContext
from workers.training.cost.tally import Tally
from workers.training.finetune import model_profile, training_data
from workers.training.formats.exits import all_layers
from workers.training.formats.profile import profile
from workers.training.forward_pass import MODEL_INPUTS, ForwardPass
from workers.training.model.loaded import Loaded
from workers.training.structured.gate_pass import gate_pass_flops
from workers.training.tasks.registry import task_of

Loss = Callable[[], torch.Tensor]


class Sample(Protocol):
    """The options that say which examples are used, and how.

    ``examples`` is their number, drawn by ``seed``; None for all of the training split.
    """

    @property
    def examples(self) -> int | None: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def max_length(self) -> int: ...
    @property
    def seed(self) -> int: ...


def batch_losses(
    context: StageContext,
    loaded: Loaded,
    sample: Sample,
    tally: Tally,
    *,
    counts: bool = True,
) -> Iterator[Loss]:
    """For each batch of the examples a function that computes the sum of their losses.

    The model computes without dropout. The operations of a forward pass, and of a backward pass
    to the gates of heads and neurons, are added to the tally for each batch.

    Args:
        context: The stage's context.
        loaded: The model.
        sample: The examples.
        tally: The stage's operations.
        counts: Whether operations are added; false if the caller counts its own.
    """
    data = training_data(context, loaded, sample.max_length)
    task = task_of(context)
    collate, term = task.collator(loaded, seed=sample.seed), task.loss()
    generator = torch.Generator().manual_seed(sample.seed)
    rows = torch.randperm(len(data), generator=generator)[: sample.examples].tolist()
    rows.sort(key=data.lengths.__getitem__)
    model = loaded.model
    model.to(context.job.device).train(False)  # type: ignore[arg-type]
    flops, density = model_profile(context, loaded), None
    for start in range(0, len(rows), sample.batch_size):
        batch = {
            name: tensor.to(context.job.device)
            for name, tensor in collate(
                [data[row] for row in rows[start : start + sample.batch_size]]
            ).items()
        }
        count, width = batch["input_ids"].shape

        def loss(batch: dict[str, torch.Tensor] = batch, count: int = count) -> torch.Tensor:
            own = {name: batch[name] for name in batch.keys() & MODEL_INPUTS}
            targets = {name: batch[name] for name in batch.keys() - MODEL_INPUTS}
            with all_layers(model):
                outputs = model(**own)
            return count * term.value(ForwardPass(model, outputs, own, targets))

        yield loss
        if not counts:
            continue
        density = profile(model, flops).density if density is None else density
        tally.add(
            count * gate_pass_flops(model, flops, width),
            count * gate_pass_flops(model, flops, width, density),
        )
    context.stop_if_asked()
