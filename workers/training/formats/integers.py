"""Weights as integers of 2 to 8 bits with a scale for each block; the arithmetic is in fp32.

No kernel multiplies by such weights: they are expanded before each multiplication, on any device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.training.formats.base import Format, Note, StoredTensor, require_format
from workers.training.quantization.affine import (
    ActivationRange,
    Blocks,
    largest_integer,
    quantize_blocks,
)
from workers.training.quantization.bits import pack, unpack


class IntegerWeights(nn.Module):
    """Integers ``[rows, columns]`` and their scales; saved without gaps between the bits."""

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, rows: int, columns: int, bits: int, blocks: Blocks) -> None:
        super().__init__()
        self.bits, self.blocks = bits, blocks
        self.register_buffer("weight", torch.zeros((rows, columns), dtype=torch.int8))
        self.register_buffer("scale", torch.ones(blocks.shape(rows, columns)))

    def put(self, weight: torch.Tensor) -> None:
        """Quantize ``[rows, columns]`` into this module."""
        integers, scale = quantize_blocks(weight.detach().float(), self.blocks, self.bits)
        self.weight, self.scale = integers.to(torch.int8), scale.float()

    def real(self) -> torch.Tensor:
        """The weights as real numbers ``[rows, columns]``, fp32."""
        return self.weight.float() * self.blocks.spread(self.scale, *self.weight.shape)

    def stored(self) -> list[StoredTensor]:
        """The tensors as they are saved: integers of ``bits`` bits, scales."""
        is_matrix = isinstance(self, IntegerLinear)
        return [
            StoredTensor(self.weight, is_matrix=is_matrix, bits=self.bits),
            StoredTensor(self.scale, is_weight=False),
        ]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        shifted = (self.weight + largest_integer(self.bits)).to(torch.uint8)
        destination[f"{prefix}weight"] = pack(shifted, self.bits)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        packed = state_dict.get(f"{prefix}weight")
        if packed is not None and packed.dim() == 1:
            values = unpack(packed, self.bits, self.weight.numel()).to(torch.int8)
            integers = (values - largest_integer(self.bits)).reshape(self.weight.shape)
            state_dict = {**state_dict, f"{prefix}weight": integers}
        super()._load_from_state_dict(state_dict, prefix, *rest)


class IntegerLinear(IntegerWeights):
    """A linear layer, x ``[..., in]`` -> ``[..., out]``, whose input may be rounded too."""

    bias: torch.Tensor | None

    def __init__(
        self,
        rows: int,
        columns: int,
        bits: int,
        blocks: Blocks,
        *,
        bias: bool,
        inputs: ActivationRange | None = None,
    ) -> None:
        super().__init__(rows, columns, bits, blocks)
        self.out_features, self.in_features = rows, columns
        self.inputs = inputs
        self.register_buffer("bias", torch.zeros(rows) if bias else None)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """See the class."""
        if self.inputs is not None:
            values = self.inputs.rounded(values)
        return functional.linear(values, self.real(), self.bias)

    def stored(self) -> list[StoredTensor]:
        """See ``IntegerWeights.stored``; the bias too."""
        bias = [] if self.bias is None else [StoredTensor(self.bias)]
        return [*super().stored(), *bias]


class IntegerEmbedding(IntegerWeights):
    """An embedding: numbers ``[...]`` -> fp32 ``[..., width]``."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """See the class."""
        rows, width = self.weight.shape
        scale = self.scale[numbers * len(self.scale) // rows]
        if scale.shape[-1] > 1:
            assert self.blocks.column_size is not None
            scale = scale.repeat_interleave(self.blocks.column_size, dim=-1)[..., :width]
        return self.weight[numbers].float() * scale


@dataclass(frozen=True)
class Plan:
    """How the weights of one module are stored, and how its input is rounded."""

    bits: int
    blocks: Blocks
    inputs: ActivationRange | None = None


def linears(model: nn.Module) -> list[str]:
    """Names of the layers that multiply by a matrix, the head included."""
    return [n for n, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]


def embeddings(model: nn.Module) -> list[str]:
    """Names of the embeddings."""
    return [n for n, module in model.named_modules() if isinstance(module, nn.Embedding)]


def to_integers(model: nn.Module, name: str, plan: Plan) -> None:
    """Replace a Linear, Conv1D or Embedding by one with integer weights, in place.

    Raises:
        ValueError: The matrix has fewer rows than groups.
    """
    module: Any = model.get_submodule(name)
    new = _empty(module, plan)
    weight = module.weight.detach()
    new.put(weight.t() if isinstance(module, Conv1D) else weight)
    if isinstance(new, IntegerLinear) and module.bias is not None:
        # A copy, since a bias that two modules share would be saved once.
        new.bias = module.bias.detach().float().clone()
    model.set_submodule(name, new)


def _empty(module: Any, plan: Plan) -> IntegerLinear | IntegerEmbedding:
    rows, columns = module.weight.shape
    if isinstance(module, Conv1D):  # GPT-2 stores its matrices transposed
        rows, columns = columns, rows
    plan.blocks.require(rows)
    if isinstance(module, nn.Embedding):
        new: IntegerLinear | IntegerEmbedding = IntegerEmbedding(
            rows, columns, plan.bits, plan.blocks
        )
    else:
        has_bias = module.bias is not None
        new = IntegerLinear(
            rows, columns, plan.bits, plan.blocks, bias=has_bias, inputs=plan.inputs
        )
    return new.to(module.weight.device)


class Integers(Format):
    """Linear layers and embeddings with weights of a few bits."""

    name = "integers"
    note_file = "integers.json"
    order = 80
    trainable = False
    same_operations = True
    rounds_to_zero = True

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: bits, blocks and the input's S and Z of each module."""
        modules = {
            name: _module_note(module)
            for name, module in model.named_modules()
            if isinstance(module, IntegerLinear | IntegerEmbedding)
        }
        if not modules:
            return None
        weights = "symmetric: real = scale * integer, zero point 0; NAME.scale has the scales"
        return {"format": 1, "weights": weights, "modules": modules}

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        for name, of_module in note["modules"].items():
            blocks = Blocks(of_module["row_groups"], of_module["column_size"])
            of_input = of_module.get("input")
            inputs = None if of_input is None else ActivationRange(**of_input)
            plan = Plan(of_module["bits"], blocks, inputs)
            model.set_submodule(name, _empty(model.get_submodule(name), plan))

    def stored_tensors(self, module: nn.Module) -> Sequence[StoredTensor]:
        """See ``Format.stored_tensors``: integers, scales, biases."""
        return module.stored() if isinstance(module, IntegerWeights) else ()

    def speed_note(self, note: Note, device: str) -> str | None:
        """See ``Format.speed_note``."""
        bits = sorted({of_module["bits"] for of_module in note["modules"].values()})
        named = " and ".join(map(str, bits))
        return (
            f"numerics only: no kernel multiplies by these {named}-bit weights, which are expanded "
            "to fp32 each time; the model is smaller, not faster"
        )


def _module_note(module: IntegerLinear | IntegerEmbedding) -> Note:
    note: Note = {"kind": "embedding", "bits": module.bits, **asdict(module.blocks)}
    if isinstance(module, IntegerLinear):
        note["kind"] = "linear"
        note["input"] = None if module.inputs is None else asdict(module.inputs)
    return note


FORMAT = Integers()
