"""Importance of attention heads, from gates of 1 on their outputs.

Source: Michel, Levy, Neubig 2019, Are Sixteen Heads Really Better than One?, arXiv:1905.10650.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from workers.training.formats.sliced import head_size
from workers.training.model.recording import encoder_layers

Importance = list[torch.Tensor]
"""For each layer the importance of its heads, ``[heads]``."""


@contextmanager
def open_gates(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """Gates of 1 on the output of each head for each token, ``[batch, seq, heads]`` by layer.

    They multiply the input of ``attention.output.dense``; the list fills in the forward pass.
    """
    gates: list[torch.Tensor] = []
    size = head_size(model)

    def multiply(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        context = inputs[0]
        heads = context.reshape(*context.shape[:-1], -1, size)
        gate = torch.ones(heads.shape[:-1], dtype=heads.dtype, device=heads.device)
        gates.append(gate.requires_grad_())
        return ((heads * gate.unsqueeze(-1)).flatten(-2), *inputs[1:])

    hooks = [
        layer.get_submodule("attention.output.dense").register_forward_pre_hook(multiply)
        for layer in encoder_layers(model)
    ]
    try:
        yield gates
    finally:
        for hook in hooks:
            hook.remove()


def gate_gradients(
    model: PreTrainedModel, loss: Callable[[], torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """Gradients of a loss for the gate of each head and token, ``[batch, seq, heads]`` by layer.

    The sum over the tokens is dL / dgate of an example; over the batch, that of the batch.

    Args:
        model: The model; without dropout (``model.train(False)``) as in the authors' code.
        loss: Runs the model's forward pass on a batch; returns the sum of the examples' losses.

    Source: Michel et al. 2019, equation 2.
    """
    with open_gates(model) as gates:
        value = loss()
    gradients: tuple[torch.Tensor, ...] = torch.autograd.grad(value, gates)
    return gradients


def head_importance(
    gradients: Iterable[Sequence[torch.Tensor]], kind: Literal["examples", "tokens"]
) -> Importance:
    """Mean over the examples of |dL / dgate|, or of the sum of its tokens' absolute values.

    Args:
        gradients: ``gate_gradients`` of each batch.
        kind: ``examples`` is the paper's; ``tokens`` that of the authors' code.

    Source: Michel et al. 2019, equation 2.
    """
    sums: Importance = []
    examples = 0
    for of_batch in gradients:
        parts = [
            (g.sum(1).abs() if kind == "examples" else g.abs().sum(1)).double().sum(0)
            for g in of_batch
        ]
        sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
        examples += len(of_batch[0])
    return [layer_sum / examples for layer_sum in sums]


def normalized(importance: Importance) -> Importance:
    """Divide by the L2 norm of each layer's importances (Molchanov et al. 2017).

    Source: Michel et al. 2019, section 4.1.
    """
    return [layer / (layer.norm() + 1e-20) for layer in importance]


def importance_of(
    model: PreTrainedModel,
    losses: Iterable[Callable[[], torch.Tensor]],
    *,
    kind: Literal["examples", "tokens"],
    normalize: bool,
) -> Importance:
    """The importance of a model's heads from the losses of batches; see ``head_importance``.

    Args:
        model: The model.
        losses: For each batch a function that returns the sum of its examples' losses.
        kind: See ``head_importance``.
        normalize: Whether each layer's importances are divided by their L2 norm.
    """
    importance = head_importance((gate_gradients(model, loss) for loss in losses), kind)
    return normalized(importance) if normalize else importance
