"""Q-BERT: weights of few bits in groups of rows, and more bits for sensitive layers.

Source: Shen et al. 2020, Q-BERT: Hessian Based Ultra Low Precision Quantization of BERT,
arXiv:1909.05840.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pricetag.recipes.methods.quantize_qbert import QuantizeQbert
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.cost.tally import Tally
from workers.training.decisions import decided
from workers.training.finetune import new_tally
from workers.training.formats import registry
from workers.training.formats.integers import Plan, embeddings, linears, to_integers
from workers.training.model.loaded import Loaded
from workers.training.quantization.affine import ActivationRange, Blocks
from workers.training.quantization.fake_quant import UNCOUNTED, Rounding, Symmetry
from workers.training.quantization.hessian import (
    Product,
    Sample,
    layer_eigenvalues,
    matrices_by_layer,
    require_layers,
)
from workers.training.quantization.stage import require_unquantized

EPSILON = 1e-6
"""Added to norms and eigenvalues before a division by them, as in PyHessian."""


def top_eigenvalue(
    product: Product,
    start: Sequence[torch.Tensor],
    *,
    tolerance: float = 1e-3,
    iterations: int = 100,
) -> float:
    """The eigenvalue of largest magnitude of a symmetric matrix H, by power iteration.

    v <- H v / |H v|, lambda = v^T H v, until lambda changes by less than ``tolerance`` of itself.
    The sign is kept.

    Args:
        product: Computes H v of a vector v, which may be split into several tensors.
        start: The first v, of any length but 0.
        tolerance: Relative change at which the iteration ends.
        iterations: Maximum number of products.

    Source: Shen et al. 2020, section 3.1, algorithm 1.
    """
    vector = _normalized(start)
    eigenvalue: float | None = None
    for _ in range(iterations):
        image = product(vector)
        former = eigenvalue
        eigenvalue = float(
            torch.stack(
                [(gradient * v).sum() for gradient, v in zip(image, vector, strict=True)]
            ).sum()
        )
        if former is not None and abs(eigenvalue - former) < tolerance * (abs(former) + EPSILON):
            break
        vector = _normalized(image)
    assert eigenvalue is not None
    return eigenvalue


def _normalized(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors as one vector of length 1."""
    norm = torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()
    return [tensor / (norm + EPSILON) for tensor in tensors]


def sensitivity(eigenvalues: Sequence[float]) -> float:
    """|mean| + standard deviation of a layer's top eigenvalues over batches of training data.

    Args:
        eigenvalues: One for each batch.

    Source: Shen et al. 2020, equation 3.
    """
    values = torch.tensor(eigenvalues, dtype=torch.float64)
    return float(values.mean().abs() + values.std(correction=0))


def assigned_bits(
    sensitivities: Sequence[float], sizes: Sequence[int], choices: Sequence[int], budget: float
) -> list[int]:
    """Bits of each layer: a more sensitive one never has fewer.

    All layers begin with the least choice. For each further choice, in rising order, layers are
    raised to it from the most sensitive one on, until the next one would exceed the budget.

    Args:
        sensitivities: Of each layer.
        sizes: Weights of each layer.
        choices: The bits that a layer may have.
        budget: Maximum mean of the bits of a weight, at least the least choice.

    Source: Shen et al. 2020, section 3.1 (more bits where the sensitivity is larger).
    """
    order = sorted(range(len(sizes)), key=lambda layer: (-sensitivities[layer], layer))
    ascending = sorted(choices)
    bits = [ascending[0]] * len(sizes)
    room = (budget - ascending[0]) * sum(sizes) * (1 + 1e-12)
    for lower, higher in pairwise(ascending):
        for layer in order:
            cost = (higher - lower) * sizes[layer]
            if bits[layer] != lower or cost > room:
                break
            bits[layer], room = higher, room - cost
    return bits


def roundings(
    model: PreTrainedModel, params: QuantizeQbert, bits: Sequence[int]
) -> dict[str, Rounding]:
    """How each linear layer and embedding of a model is trained under the options of a stage.

    Args:
        model: The model.
        params: The stage's options.
        bits: Bits of each layer of the encoder.
    """
    inputs: Symmetry | None = "asymmetric" if params.activations else None
    by_name = {
        name: of_layer
        for names, of_layer in zip(matrices_by_layer(model), bits, strict=True)
        for name in names
    }
    plan = {
        name: Rounding(by_name.get(name, params.head_bits), _groups(model, name, params), inputs)
        for name in linears(model)
    }
    for name in embeddings(model):
        positions = "position" in name or name.endswith("wpe")
        wanted = params.position_bits if positions else None
        width = params.embedding_bits if wanted is None else wanted
        plan[name] = Rounding(width, _groups(model, name, params))
    return plan


def _groups(model: nn.Module, name: str, params: QuantizeQbert) -> Blocks:
    module: Any = model.get_submodule(name)
    rows = module.weight.shape[1 if type(module).__name__ == "Conv1D" else 0]
    return Blocks(row_groups=min(params.groups, rows))


def apply_qbert(
    model: nn.Module, plan: Mapping[str, Rounding], inputs: Mapping[str, ActivationRange]
) -> dict[str, Any]:
    """Give the trained modules the integer weights that training rounded to, in place.

    Args:
        model: The trained model, changed in place.
        plan: How each module was trained.
        inputs: Range of each linear layer's input; empty if they were not rounded.

    Returns:
        Facts for the card of the model.

    Source: Shen et al. 2020, section 3.2.
    """
    for name, rounding in plan.items():
        to_integers(model, name, Plan(rounding.bits, rounding.blocks, inputs.get(name)))
    return {"scheme": "qbert", "modules": len(plan), "embeddings": True}


def bits_of_layers(
    context: StageContext, loaded: Loaded, params: QuantizeQbert
) -> tuple[dict[str, Any], Tally]:
    """Bits of each layer, with the sensitivities that they are chosen by if they are auto.

    They are chosen once, for all ranks and attempts.

    Args:
        context: The stage's context.
        loaded: The trained model.
        params: The stage's options.

    Returns:
        Facts for the card of the model, and the stage's operations so far, of the Hessians.

    Raises:
        JobError: The model is quantized already or has no known layers, or the data cannot be
            used.
        Interrupted: A stop was requested.
    """
    require_unquantized(context, loaded)
    layers = require_layers(context, loaded)
    tally = new_tally(context, loaded, UNCOUNTED)
    if params.bits != "auto":
        return {"bits_by_layer": [params.bits] * len(layers), "mean_bits": params.bits}, tally
    if "deq" in registry.describe(loaded.model):
        raise JobError(
            "bad-model",
            "the implicit gradient of a deq model has no second derivatives; state the bits",
            f"{context.field}.bits",
        )
    layer_bits: dict[str, Any] = decided(
        context, "bits", lambda: _by_sensitivity(context, loaded, params, tally, layers)
    )
    return layer_bits, tally


def _by_sensitivity(
    context: StageContext,
    loaded: Loaded,
    params: QuantizeQbert,
    tally: Tally,
    layers: Sequence[Sequence[str]],
) -> dict[str, Any]:
    assert params.bit_budget is not None
    sizes = [sum(_weights(loaded.model, name) for name in names) for names in layers]
    sample = Sample(
        params.hessian_examples, params.hessian_batch_size, params.max_length, params.seed
    )
    power = partial(
        top_eigenvalue, tolerance=params.hessian_tolerance, iterations=params.hessian_iterations
    )
    eigenvalues = layer_eigenvalues(context, loaded, sample, tally, power)
    scores = [sensitivity(of_layer) for of_layer in eigenvalues]
    bits = assigned_bits(scores, sizes, params.bit_choices, params.bit_budget)
    mean = sum(b * size for b, size in zip(bits, sizes, strict=True)) / sum(sizes)
    context.reporter.log(f"bits by layer: {bits}, {mean:.3g} on average")
    return {"bits_by_layer": bits, "mean_bits": mean, "sensitivity_by_layer": scores}


def _weights(model: nn.Module, name: str) -> int:
    module: Any = model.get_submodule(name)
    return int(module.weight.numel())
