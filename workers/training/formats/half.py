"""Models whose weights and arithmetic have 16 bits."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.training.formats.base import Format, Note, require_format

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def to_half(model: PreTrainedModel, number_format: str) -> None:
    """Convert all weights and buffers of real numbers, in place.

    Args:
        model: The model, changed in place.
        number_format: ``fp16`` or ``bf16``.
    """
    dtype = DTYPES[number_format]
    model.to(dtype)  # type: ignore[arg-type]
    model.config.dtype = dtype


def fast_on_cpu(number_format: str) -> bool:
    """Whether this processor multiplies the format without converting it first."""
    if number_format == "bf16":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.cpu._is_amx_fp16_supported())


class Half(Format):
    """A model in fp16 or bf16."""

    name = "half"
    note_file = "half.json"
    order = 95
    trainable = False
    same_operations = True

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: the number format."""
        dtype = _dtype(model)
        number_format = next((name for name, each in DTYPES.items() if each == dtype), None)
        return None if number_format is None else {"format": 1, "number_format": number_format}

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        to_half(model, note["number_format"])

    def speed_note(self, note: Note, device: str) -> str | None:
        """See ``Format.speed_note``: on processors that convert each number first."""
        number_format = note["number_format"]
        if device != "cpu" or fast_on_cpu(number_format):
            return None
        return (
            f"numerics only: this processor has no {number_format} arithmetic and converts each "
            "number; the model is smaller, not faster"
        )


def _dtype(model: nn.Module) -> torch.dtype | None:
    parameter = next(model.parameters(), None)
    return None if parameter is None else parameter.dtype


FORMAT = Half()
