"""8-bit quantization with fixed ranges of the activations.

Source: Jacob et al. 2018, doi:10.1109/CVPR.2018.00286.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from workers.training.formats.int8 import convert
from workers.training.quantization.affine import ActivationRange


def apply_int8_static(
    model: nn.Module, extremes: Mapping[str, tuple[float, float]], *, embeddings: bool
) -> list[str]:
    """Give every linear layer 8-bit weights and a fixed range of its input, in place.

    Weights: S = max|r| / 127 for each row, Z = 0. Inputs: S = (max - min) / 255 and
    Z = round(-min / S), from the range widened to include 0.

    Args:
        model: The model, changed in place.
        extremes: Smallest and largest value of each linear layer's input.
        embeddings: Whether the rows of embeddings are quantized too.

    Returns:
        The names of the modules that were replaced.

    Source: Jacob et al. 2018, equation 1 and section 3, doi:10.1109/CVPR.2018.00286.
    """
    inputs = {name: ActivationRange.asymmetric(*ends) for name, ends in extremes.items()}
    return convert(model, embeddings=embeddings, inputs=inputs)
