"""Post-training quantization to 8-bit integers.

Source: Zafrir, Boudoukh, Izsak, Wasserblat 2019, Q8BERT, section 2, arXiv:1910.06188.
"""

from __future__ import annotations

from torch import nn

from workers.training.formats.int8 import convert


def apply_int8(model: nn.Module, *, embeddings: bool) -> list[str]:
    """Give every Linear (and Embedding) of a model 8-bit weights, in place.

    Symmetric per row (S = max|r| / 127, Z = 0), so pruned weights stay exactly zero;
    activations are quantized at run time.

    Returns:
        The names of the modules that were replaced.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """
    return convert(model, embeddings=embeddings)
