"""Gradients of a model's matrices on a few batches, for scores that need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import torch

from pricetag.recipes.training import Optimisation
from workers.job.context import StageContext
from workers.training.cost.tally import Tally
from workers.training.data.tokens import EpochSampler
from workers.training.finetune import full_profile, training_data
from workers.training.formats import registry
from workers.training.formats.exits import all_layers
from workers.training.formats.sparse import Matrix
from workers.training.forward_pass import MODEL_INPUTS, ForwardPass
from workers.training.model.loaded import Loaded
from workers.training.tasks.registry import task_of

Tensors = dict[str, torch.Tensor]
Gradients = dict[str, torch.Tensor]


def gradients(
    context: StageContext,
    loaded: Loaded,
    options: Optimisation,
    matrices: Mapping[str, Matrix],
    batches: int,
    tally: Tally,
) -> Iterator[Gradients]:
    """Gradients of the task's loss on batches of the training split, in fp32 without dropout.

    The examples are the first ones of the stage's order of training.

    Args:
        context: The stage's context.
        loaded: The model; its weights stay as they are.
        options: Options of the training, with the size of a batch.
        matrices: Matrices of the model by name.
        batches: Maximum number of batches.
        tally: Tally of the stage's operations.

    Yields:
        For each batch the gradients by name, in the shapes of the weights.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
        Interrupted: A stop was requested.
    """
    loss = task_of(context).loss()
    counted = full_profile(context, loaded)
    model = loaded.model
    weights = [matrix.weight for matrix in matrices.values()]
    notes = registry.describe(model)
    for own, others in first_batches(context, loaded, options, batches):
        with all_layers(model):
            outputs = model(**own)
        forward = ForwardPass(model=model, outputs=outputs, inputs=own, targets=others)
        derivatives = torch.autograd.grad(loss.value(forward), weights)
        count, width = own["input_ids"].shape
        operations = (
            counted.flops.training(width, density)
            + registry.further_flops(model, notes, counted.flops, width, density)
            for density in (1.0, counted.density)
        )
        tally.add(*(count * each for each in operations))
        yield dict(zip(matrices, derivatives, strict=True))


def first_batches(
    context: StageContext, loaded: Loaded, options: Optimisation, batches: int
) -> Iterator[tuple[Tensors, Tensors]]:
    """The first batches of the training split in the stage's order; the model is without dropout.

    Args:
        context: The stage's context.
        loaded: The model, moved to the job's device.
        options: Options of the training, with the size of a batch.
        batches: Maximum number of batches.

    Yields:
        The model's inputs, and the other tensors of the batch.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
        Interrupted: A stop was requested.
    """
    data = training_data(context, loaded, options.max_length)
    collate = task_of(context).collator(loaded, seed=options.seed, multiple=1)
    order = iter(EpochSampler(data.lengths, options.batch_size, options.seed))
    model, device = loaded.model, loaded.device(context.job.device)
    model.to(device).train(False)  # type: ignore[arg-type]
    for _ in range(batches):
        rows = list(islice(order, options.batch_size))
        if not rows:
            return
        batch = {k: v.to(device) for k, v in collate([data[row] for row in rows]).items()}
        own = {name: values for name, values in batch.items() if name in MODEL_INPUTS}
        yield own, {name: values for name, values in batch.items() if name not in own}
        context.stop_if_asked()
