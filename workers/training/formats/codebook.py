"""Weights as labels of shared values; zeros have no label. The arithmetic is in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.training.formats.base import Format, Note, StoredTensor, require_format
from workers.training.quantization.bits import pack, unpack


class CodebookWeights(nn.Module):
    """Labels and mask ``[rows, columns]``, and the shared values ``[2^bits]``.

    Saved are the mask, one bit for each place, and the labels of the places that are not zero.
    """

    labels: torch.Tensor
    mask: torch.Tensor
    centroids: torch.Tensor

    def __init__(self, rows: int, columns: int, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("labels", torch.zeros((rows, columns), dtype=torch.uint8))
        self.register_buffer("mask", torch.ones((rows, columns), dtype=torch.bool))
        self.register_buffer("centroids", torch.zeros(2**bits))

    def real(self) -> torch.Tensor:
        """The weights as real numbers ``[rows, columns]``, fp32."""
        return self.centroids[self.labels.int()] * self.mask

    def stored(self) -> list[StoredTensor]:
        """The weights with ``bits`` bits each, and the shared values."""
        is_matrix = isinstance(self, CodebookLinear)
        return [
            StoredTensor(self.real(), is_matrix=is_matrix, bits=self.bits),
            StoredTensor(self.centroids, is_weight=False),
        ]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}labels"] = pack(self.labels[self.mask], self.bits)
        destination[f"{prefix}mask"] = pack(self.mask.to(torch.uint8), 1)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        packed = state_dict.get(f"{prefix}mask")
        if packed is not None and packed.dim() == 1:
            shape = self.labels.shape
            mask = unpack(packed, 1, self.mask.numel()).bool().reshape(shape)
            labels = torch.zeros(shape, dtype=torch.uint8)
            labels[mask] = unpack(state_dict[f"{prefix}labels"], self.bits, int(mask.sum()))
            tensors = {f"{prefix}mask": mask, f"{prefix}labels": labels}
            state_dict = {**state_dict, **tensors}
        super()._load_from_state_dict(state_dict, prefix, *rest)


class CodebookLinear(CodebookWeights):
    """A linear layer, x ``[..., in]`` -> ``[..., out]``."""

    bias: torch.Tensor | None

    def __init__(self, rows: int, columns: int, bits: int, *, bias: bool) -> None:
        super().__init__(rows, columns, bits)
        self.out_features, self.in_features = rows, columns
        self.register_buffer("bias", torch.zeros(rows) if bias else None)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return functional.linear(values, self.real(), self.bias)

    def stored(self) -> list[StoredTensor]:
        """See ``CodebookWeights.stored``; the bias too."""
        bias = [] if self.bias is None else [StoredTensor(self.bias)]
        return [*super().stored(), *bias]


class CodebookEmbedding(CodebookWeights):
    """An embedding: numbers ``[...]`` -> fp32 ``[..., width]``."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.centroids[self.labels[numbers].int()] * self.mask[numbers]


def to_codebook(
    model: nn.Module, name: str, centroids: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor
) -> None:
    """Replace a Linear, Conv1D or Embedding by one with a codebook, in place.

    Args:
        model: The model, changed in place.
        name: Name of the module.
        centroids: Shared values ``[2^bits]``.
        labels: Label of each weight ``[rows, columns]``, uint8.
        mask: Weights that are not zero ``[rows, columns]``.
    """
    module: Any = model.get_submodule(name)
    new = _empty(module, len(centroids).bit_length() - 1)
    new.labels, new.mask = labels, mask
    new.centroids = centroids.detach().float()
    if isinstance(new, CodebookLinear) and module.bias is not None:
        # A copy, since a bias that two modules share would be saved once.
        new.bias = module.bias.detach().float().clone()
    model.set_submodule(name, new)


def _empty(module: Any, bits: int) -> CodebookLinear | CodebookEmbedding:
    rows, columns = module.weight.shape
    if isinstance(module, nn.Embedding):
        return CodebookEmbedding(rows, columns, bits)
    if isinstance(module, Conv1D):  # GPT-2 stores its matrices transposed
        rows, columns = columns, rows
    return CodebookLinear(rows, columns, bits, bias=module.bias is not None)


class Codebook(Format):
    """Linear layers and embeddings whose weights share a few values."""

    name = "codebook"
    note_file = "codebook.json"
    order = 85
    trainable = False
    same_operations = True

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: the bits of each module's labels."""
        modules = {
            name: module.bits
            for name, module in model.named_modules()
            if isinstance(module, CodebookWeights)
        }
        return {"format": 1, "bits": modules} if modules else None

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        for name, bits in note["bits"].items():
            model.set_submodule(name, _empty(model.get_submodule(name), bits))

    def stored_tensors(self, module: nn.Module) -> Sequence[StoredTensor]:
        """See ``Format.stored_tensors``: weights, shared values, biases."""
        return module.stored() if isinstance(module, CodebookWeights) else ()

    def speed_note(self, note: Note, device: str) -> str | None:
        """See ``Format.speed_note``."""
        return (
            "numerics only: no kernel multiplies by labels of shared values, which are expanded "
            "to fp32 each time; the model is smaller, not faster"
        )


FORMAT = Codebook()
