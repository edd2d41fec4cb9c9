"""Models in 16-bit floating point.

Source: Micikevicius et al. 2018, arXiv:1710.03740; Kalamkar et al. 2019, arXiv:1905.12322.
"""

from __future__ import annotations

from typing import Literal

import torch
from transformers import PreTrainedModel

from workers.job.request import JobError
from workers.training.formats.half import DTYPES, to_half


def largest_weight(model: PreTrainedModel) -> float:
    """The largest absolute value of a model's weights; 0 without weights."""
    return max((float(p.detach().abs().max()) for p in model.parameters() if p.numel()), default=0)


def apply_half(model: PreTrainedModel, number_format: Literal["fp16", "bf16"], field: str) -> None:
    """Round a model's weights to 16 bits, in place; it computes in the same format from then on.

    Args:
        model: The model, changed in place.
        number_format: The format.
        field: Path of the stage, for the message.

    Raises:
        JobError: ``weights-overflow`` if a weight is larger than the format's largest number.

    Source: Micikevicius et al. 2018, section 3, arXiv:1710.03740.
    """
    largest, limit = largest_weight(model), torch.finfo(DTYPES[number_format]).max
    if largest > limit:
        raise JobError(
            "weights-overflow",
            f"a weight of {largest:.3g} exceeds the largest {number_format} number, {limit:.3g}; "
            "use method: bf16",
            field,
        )
    to_half(model, number_format)
