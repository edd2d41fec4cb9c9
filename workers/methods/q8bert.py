"""Q8BERT: training with 8-bit weights and activations.

Source: Zafrir, Boudoukh, Izsak, Wasserblat 2019, Q8BERT: Quantized 8Bit BERT, arXiv:1910.06188.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from workers.training.formats.int8 import Int8Embedding, Int8Linear
from workers.training.formats.integers import embeddings, linears
from workers.training.quantization.affine import (
    ActivationRange,
    Blocks,
    fake_symmetric,
    quantize_blocks,
    round_symmetric,
    symmetric_scale,
)
from workers.training.quantization.fake_quant import Rounding

BITS = 8
WHOLE = Blocks(row_groups=1)
"""One scale for a whole matrix."""


def moving_largest(
    previous: torch.Tensor | None, values: torch.Tensor, decay: float
) -> torch.Tensor:
    """The moving average of max|x|, to which a batch is added before it is used for it.

    Args:
        previous: The average before; None before the first batch, which fills it.
        values: The batch, any shape.
        decay: Weight of the average before.

    Source: Zafrir et al. 2019, section 2.1, arXiv:1910.06188.
    """
    largest = values.abs().max()
    return largest if previous is None else decay * previous + (1 - decay) * largest


def training_linear(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    input_largest: torch.Tensor,
    output_largest: torch.Tensor,
) -> torch.Tensor:
    """A linear layer in training: input, weight and output rounded, straight-through gradient.

    Args:
        values: ``[..., in]``.
        weight: ``[out, in]``; its scale is that of its own largest value.
        bias: ``[out]``.
        input_largest: max|x| of the input's range.
        output_largest: max|x| of the output's range.

    Returns:
        ``[..., out]``.

    Source: Zafrir et al. 2019, section 2.1, arXiv:1910.06188.
    """
    rounded = fake_symmetric(values, symmetric_scale(input_largest, BITS), BITS)
    weight_scale = symmetric_scale(weight.detach().abs().max(), BITS)
    outputs = functional.linear(rounded, fake_symmetric(weight, weight_scale, BITS), bias)
    return fake_symmetric(outputs, symmetric_scale(output_largest, BITS), BITS)


def integer_linear(
    values: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    input_largest: torch.Tensor,
    output_largest: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same layer in use: products of 8-bit integers summed in 32 bits, with a 32-bit bias.

    The bias is an integer at the scale S_input x S_weight.

    Returns:
        The sums as integers ``[..., out]``, in the type of ``values``, and the rounded outputs as
        real numbers.

    Source: Zafrir et al. 2019, sections 2.1 and 2.2, arXiv:1910.06188.
    """
    input_scale = symmetric_scale(input_largest, BITS)
    weight_scale = symmetric_scale(weight.abs().max(), BITS)
    q_values = round_symmetric(values, input_scale, BITS)
    q_weight = round_symmetric(weight, weight_scale, BITS)
    step = input_scale * weight_scale
    sums = functional.linear(q_values, q_weight, None if bias is None else integer_bias(bias, step))
    output_scale = symmetric_scale(output_largest, BITS)
    return sums, round_symmetric(sums * step, output_scale, BITS) * output_scale


def integer_bias(bias: torch.Tensor, step: torch.Tensor | float) -> torch.Tensor:
    """A bias in 32-bit integers at the scale ``step``, clamped to their range."""
    limit = 2**31 - 1
    return torch.round(bias / step).clamp(-limit, limit)


def roundings(model: nn.Module) -> dict[str, Rounding]:
    """How each layer of a model is trained: all linear layers, head included, and embeddings."""
    layers = Rounding(BITS, WHOLE, inputs="symmetric", outputs=True)
    return {
        **dict.fromkeys(linears(model), layers),
        **dict.fromkeys(embeddings(model), Rounding(BITS, WHOLE)),
    }


def apply_q8bert(
    model: nn.Module,
    inputs: Mapping[str, ActivationRange],
    outputs: Mapping[str, ActivationRange],
) -> list[str]:
    """Give every linear layer and embedding 8-bit weights, and fixed ranges, in place.

    Args:
        model: The trained model, changed in place.
        inputs: Range of each linear layer's input.
        outputs: Range of each linear layer's output.

    Returns:
        The names of the modules that were replaced.

    Source: Zafrir et al. 2019, section 2.2, arXiv:1910.06188.
    """
    names = [*linears(model), *embeddings(model)]
    for name in names:
        module: Any = model.get_submodule(name)
        weight = module.weight.detach().float()
        rows = weight.t().contiguous() if isinstance(module, Conv1D) else weight
        integers, scale = quantize_blocks(rows, WHOLE, BITS)
        by_row = scale.reshape(1).repeat(len(rows))
        if isinstance(module, nn.Embedding):
            new: nn.Module = Int8Embedding(integers.to(torch.int8), by_row)
        else:
            step = float(scale) * inputs[name].scale
            bias = module.bias
            if bias is not None:
                bias = integer_bias(bias.detach().double(), step).mul(step).float()
            new = Int8Linear(integers.to(torch.int8), by_row, bias, inputs[name], outputs[name])
        model.set_submodule(name, new)
    return names
