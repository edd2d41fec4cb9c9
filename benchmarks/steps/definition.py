"""What a method's own definition adds to the passes of a step, in plain PyTorch.

The operations that the method's formula names, each written as one would from the paper, on
tensors of the shapes of the step: rounding of weights and activations, shared values and the
sums of their gradients, gradients and ranking of scores, masks of weights, and the differences of
states and predictions. None of it calls the code of the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from workers.methods.distilbert import LastStates
from workers.methods.logits import SoftLabels
from workers.methods.movement import Movement
from workers.methods.sparsebert import Scores
from workers.training.imitation import States
from workers.training.model.recording import encoder_layers
from workers.training.pruning.masker import Masker
from workers.training.quantization.fake_quant import FakeQuant
from workers.training.quantization.shared_weights import SharedWeights
from workers.training.trainer import Participants

Work = Callable[["Shapes"], Iterator[torch.Tensor]]
"""Computes one tensor after another; each is dropped before the next."""


class Shapes:
    """Shapes of a step's tensors.

    Args:
        model: The model of the bare step.
        tokens: Rows and columns of the batch.
        real: Tokens that are not padding.
    """

    def __init__(self, model: PreTrainedModel, tokens: tuple[int, int], real: int) -> None:
        config: Any = model.config
        rows, width = tokens
        layers = config.num_hidden_layers
        self.real = (real, config.vocab_size)
        self.states = [(rows, width, config.hidden_size)] * (layers + 1)
        heads = config.num_attention_heads
        self.scores = [(rows, heads, width, width)] * layers
        self.tokens = tokens


def definition(model: PreTrainedModel, parts: Participants) -> list[Work]:
    """The work of every participant that has some.

    Args:
        model: The model that the participants are attached to.
        parts: The losses and plug-ins of the method.
    """
    made = [_of(one, model) for one in parts.all]
    return [work for work in made if work is not None]


def _of(one: Any, model: PreTrainedModel) -> Work | None:
    if isinstance(one, FakeQuant):
        return _rounding(one, model)
    if isinstance(one, SharedWeights):
        return _shared(one)
    if isinstance(one, Movement):
        return _scored([score.detach().clone() for score in one.scores.values()])
    if isinstance(one, Masker):
        return _masked([matrix.weight.detach().clone() for matrix in one.matrices.values()])
    if isinstance(one, SoftLabels) and _has_vocabulary(model):
        return _divergence  # that of a few classes is nothing
    if isinstance(one, LastStates | States | Scores):
        return _differences(one)
    return None


def _has_vocabulary(model: Any) -> bool:
    return model.get_output_embeddings() is not None


def _rounded(values: torch.Tensor, largest: torch.Tensor, limit: int) -> torch.Tensor:
    scale = largest / limit
    return (values / scale).round().clamp(-limit, limit) * scale


def _rounding(plugin: FakeQuant, model: PreTrainedModel) -> Work:
    """Weights: max|w| of each group, and rounding. Activations: their range, and rounding."""
    plan = plugin.plan
    inside = {id(module) for layer in encoder_layers(model) for module in layer.modules()}
    weights: list[tuple[torch.Tensor, int, int, bool]] = []
    activations: list[int] = []
    for name, rounding in plan.items():
        module: Any = model.get_submodule(name)
        weight = module.weight.detach().clone()
        is_table = isinstance(module, nn.Embedding)
        groups = rounding.blocks.row_groups or len(weight)
        weights.append((weight, groups, 2 ** (rounding.bits - 1) - 1, is_table))
        if id(module) not in inside:  # tables, and a head that reads one token
            continue
        if rounding.inputs is not None:
            activations.append(weight.shape[1])
        if rounding.outputs:
            activations.append(weight.shape[0])

    def work(shapes: Shapes) -> Iterator[torch.Tensor]:
        for weight, groups, limit, is_table in weights:
            if len(weight) % groups:
                largest = weight.abs().amax()
            else:
                largest = weight.view(groups, -1).abs().amax(1)
            if is_table:  # of a table only the rows that occur are rounded
                yield _rounded(weight[: shapes.tokens[0] * shapes.tokens[1]], largest.amax(), limit)
            elif largest.numel() == 1:
                yield _rounded(weight, largest, limit)
            else:
                yield _rounded(weight.view(groups, -1), largest[:, None], limit).view_as(weight)
        for width in activations:
            values = torch.ones((*shapes.tokens, width), dtype=torch.bfloat16).float()
            yield _rounded(values, values.abs().amax(), 127)

    return work


def _shared(plugin: SharedWeights) -> Work:
    """Each weight's shared value, and each value's sum over the gradients of its members."""
    numbers = [plugin.numbers[name] for name in plugin.differentiated]
    tables = [
        torch.cat([plugin.centroids[name].detach(), torch.zeros(1)])
        for name in plugin.differentiated
    ]

    def work(shapes: Shapes) -> Iterator[torch.Tensor]:
        for table, number in zip(tables, numbers, strict=True):
            gradient = table.index_select(0, number.flatten())
            yield torch.bincount(number.flatten(), gradient.double(), len(table))

    return work


def _scored(weights: list[torch.Tensor]) -> Work:
    """Movement: dL/dS = dL/dW' * W, the ranking of all scores, masked gradients and weights."""
    scores = [torch.randn_like(weight) for weight in weights]

    def work(shapes: Shapes) -> Iterator[torch.Tensor]:
        for weight, score in zip(weights, scores, strict=True):
            yield score * weight
            flat = score.flatten().numpy()
            mask = score > float(np.partition(flat, len(flat) // 2)[len(flat) // 2])
            yield score * mask
            yield weight * mask

    return work


def _masked(weights: list[torch.Tensor]) -> Work:
    """Masks: the weights alone."""
    masks = [weight != 0 for weight in weights]

    def work(shapes: Shapes) -> Iterator[torch.Tensor]:
        for weight, mask in zip(weights, masks, strict=True):
            yield weight.mul_(mask)

    return work


def _divergence(shapes: Shapes) -> Iterator[torch.Tensor]:
    """KL(teacher || student) over a vocabulary, and its gradient."""
    own = torch.zeros(shapes.real, dtype=torch.bfloat16).requires_grad_()
    theirs = torch.zeros(shapes.real, dtype=torch.bfloat16)
    loss = functional.kl_div(
        functional.log_softmax(own.float() / 2, dim=-1),
        functional.softmax(theirs.float() / 2, dim=-1),
        reduction="batchmean",
    )
    loss.backward()  # type: ignore[no-untyped-call]
    yield loss.detach()


def _differences(term: Any) -> Work:
    """Mean squared differences, or the cosine, and their gradients."""

    def work(shapes: Shapes) -> Iterator[torch.Tensor]:
        wanted: list[tuple[int, ...]] = [*shapes.states]
        if isinstance(term, LastStates):
            wanted = wanted[-1:]
        elif isinstance(term, Scores):
            wanted = [*shapes.scores]
        for shape in wanted:
            own = torch.ones(shape, dtype=torch.bfloat16).requires_grad_()
            theirs = torch.ones(shape)
            if isinstance(term, LastStates):
                loss = 1 - functional.cosine_similarity(own.float(), theirs, dim=-1).mean()
            else:
                loss = functional.mse_loss(own.float(), theirs)
            loss.backward()  # type: ignore[no-untyped-call]
            yield loss.detach()

    return work
