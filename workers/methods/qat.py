"""Quantization-aware training to 8-bit or 4-bit weights.

Source: Jacob et al. 2018, section 3, doi:10.1109/CVPR.2018.00286.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from pricetag.recipes.methods.quantize_qat import QuantizeQat
from workers.training.formats.int8 import convert
from workers.training.formats.integers import Plan, embeddings, linears, to_integers
from workers.training.quantization.affine import ActivationRange, Blocks
from workers.training.quantization.fake_quant import Rounding


def roundings(model: nn.Module, params: QuantizeQat) -> dict[str, Rounding]:
    """The treatment of each linear layer (and embedding) in training, by the stage's options."""
    blocks = Blocks(column_size=params.column_size)
    layers = Rounding(params.bits, blocks, inputs="asymmetric" if params.activations else None)
    rows = embeddings(model) if params.embeddings else []
    return {
        **dict.fromkeys(linears(model), layers),
        **dict.fromkeys(rows, Rounding(params.bits, blocks)),
    }


def apply_qat(
    model: nn.Module, plan: Mapping[str, Rounding], inputs: Mapping[str, ActivationRange]
) -> list[str]:
    """Give the trained modules the integer weights that training rounded to, in place.

    8-bit weights with 8-bit inputs get the kernel of 8-bit models; others are expanded to fp32.

    Args:
        model: The trained model, changed in place.
        plan: How each module was trained.
        inputs: Range of each linear layer's input; empty if they were not rounded.

    Returns:
        The names of the modules that were replaced.

    Source: Jacob et al. 2018, section 3.1, doi:10.1109/CVPR.2018.00286.
    """
    if inputs and all(rounding.bits == 8 for rounding in plan.values()):
        return convert(model, embeddings=bool(set(plan) - set(inputs)), inputs=inputs)
    for name, rounding in plan.items():
        to_integers(model, name, Plan(rounding.bits, rounding.blocks, inputs.get(name)))
    return list(plan)
