"""Eigenvalues of the Hessian of each layer, on batches of the training split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.cost.tally import Tally
from workers.training.finetune import loaded_profile, training_data
from workers.training.model.loaded import Loaded
from workers.training.model.recording import Needs, encoder_layers, prepared
from workers.training.structured.batch_losses import batch_losses

Product = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]
"""H v for a vector v, both in the shapes of the weights."""

Eigenvalue = Callable[[Product, Sequence[torch.Tensor]], float]
"""An eigenvalue of H, from its product and a first vector."""


@dataclass(frozen=True)
class Sample:
    """The examples of the Hessians: see ``batch_losses``."""

    examples: int
    batch_size: int
    max_length: int
    seed: int


def matrices_by_layer(model: PreTrainedModel) -> list[list[str]]:
    """Names of the matrices in each of the encoder's layers.

    Raises:
        ValueError: The model has no list of layers.
    """
    prefixes = {id(module): name for name, module in model.named_modules()}
    return [
        [
            f"{prefixes[id(layer)]}.{name}"
            for name, module in layer.named_modules()
            if isinstance(module, nn.Linear | Conv1D)
        ]
        for layer in dict.fromkeys(encoder_layers(model))
    ]


def require_layers(context: StageContext, loaded: Loaded) -> list[list[str]]:
    """``matrices_by_layer`` of the stage's model.

    Raises:
        JobError: ``nothing-to-quantize``.
    """
    try:
        layers = matrices_by_layer(loaded.model)
    except ValueError as error:
        raise JobError("nothing-to-quantize", str(error), context.field) from error
    if not layers or not all(layers):
        kind = loaded.model.config.model_type
        raise JobError(
            "nothing-to-quantize", f"a layer of the {kind} model has no matrices", context.field
        )
    return layers


def hessian_product(loss: torch.Tensor, weights: Sequence[torch.Tensor]) -> Product:
    """The product of a loss's Hessian H with vectors, without H: the gradient of (dL/dw)^T v.

    Args:
        loss: Scalar with a graph that can be differentiated twice.
        weights: w, any shapes.

    Source: Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147.
    """
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    # A gradient that no weight changes has no graph, and no part in H.
    varying = [number for number, gradient in enumerate(gradients) if gradient.requires_grad]

    def product(vector: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        if not varying:
            return [torch.zeros_like(weight) for weight in weights]
        return torch.autograd.grad(
            [gradients[number] for number in varying],
            weights,
            grad_outputs=[vector[number] for number in varying],
            retain_graph=True,
            materialize_grads=True,
        )

    return product


class _Counted:
    """A product whose operations are counted at its first call; each call has the same number."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._of_one: int | None = None
        self.flops = 0

    def __call__(self, vector: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        if self._of_one is not None:
            self.flops += self._of_one
            return self._product(vector)
        with FlopCounterMode(display=False) as counter:
            image = self._product(vector)
        self.flops = self._of_one = counter.get_total_flops()
        return image


def layer_eigenvalues(
    context: StageContext, loaded: Loaded, sample: Sample, tally: Tally, eigenvalue: Eigenvalue
) -> list[list[float]]:
    """For each layer an eigenvalue of the Hessian of its matrices, for each batch of examples.

    The loss is the mean over the batch, without dropout. Products with the Hessian, and the
    gradients that they need, are added to the tally.

    Args:
        context: The stage's context.
        loaded: The model; its attention is computed step by step, to be differentiated twice.
        sample: The examples.
        tally: The stage's operations.
        eigenvalue: Computes an eigenvalue.

    Raises:
        JobError: ``nothing-to-quantize``, or the data cannot be used.
        Interrupted: A stop was requested.
    """
    layers = require_layers(context, loaded)
    weights = [[_weight(loaded.model, name) for name in names] for names in layers]
    left = min(sample.examples, len(training_data(context, loaded, sample.max_length)))
    profile = loaded_profile(context, loaded)
    share = profile.flops.forward(1, profile.density) / profile.flops.forward(1)
    values: list[list[float]] = [[] for _ in layers]
    with prepared(loaded.model, Needs(eager_attention=True)):
        for number, loss in enumerate(batch_losses(context, loaded, sample, tally, counts=False)):
            rows, left = min(sample.batch_size, left), left - sample.batch_size
            with FlopCounterMode(display=False) as counter:
                mean = loss() / rows
            operations = counter.get_total_flops()
            for layer, of_layer in enumerate(weights):
                with FlopCounterMode(display=False) as counter:
                    product = _Counted(hessian_product(mean, of_layer))
                start = _random(of_layer, (sample.seed * len(layers) + layer) % 2**63)
                values[layer].append(eigenvalue(product, start))
                operations += counter.get_total_flops() + product.flops
                context.stop_if_asked()
            tally.add(float(operations), share * operations)
            context.reporter.log(f"Hessian of batch {number + 1}: {len(layers)} layers")
    return values


def _random(weights: Sequence[torch.Tensor], seed: int) -> list[torch.Tensor]:
    """Normal numbers in the shapes of the weights, drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(w.shape, generator=generator).to(w.device, w.dtype) for w in weights]


def _weight(model: nn.Module, name: str) -> torch.Tensor:
    weight = model.get_submodule(name).weight
    assert isinstance(weight, torch.Tensor)
    return weight
