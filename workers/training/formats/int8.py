"""8-bit weights: modules that compute with them, and their format on disk (no pickle)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from workers.training.formats.base import Format, Note, StoredTensor, require_format
from workers.training.quantization.affine import ActivationRange

STATIC = "int8_static"
"""Scheme of a model with fixed ranges of its activations; ``int8_dynamic`` has none."""


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric 8-bit rows: S = max|r| / 127, Z = 0, so zero is represented exactly.

    Args:
        weight: ``[rows, columns]``, fp32.

    Returns:
        int8 ``[rows, columns]`` and the scales, fp32 ``[rows]``.

    Source: Zafrir et al. 2019, Q8BERT, equations 1 and 2, arXiv:1910.06188.
    """
    scale = weight.abs().amax(dim=1).float() / 127
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    rounded = torch.round(weight / scale[:, None]).clamp(-127, 127)
    return rounded.to(torch.int8), scale


class Int8Linear(nn.Module):
    """A linear layer with int8 weights, on the CPU: x ``[..., in]`` -> ``[..., out]``.

    Weights are held packed for its kernel.

    Args:
        weight: int8 ``[out, in]``.
        scale: Scale of each row.
        bias: fp32 ``[out]``.
        inputs: Fixed range of the input; None: the range of each batch.
        outputs: Range that the output is rounded to; None leaves it.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        scale: torch.Tensor,
        bias: torch.Tensor | None,
        inputs: ActivationRange | None = None,
        outputs: ActivationRange | None = None,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.out_features, self.in_features = weight.shape
        zero_points = torch.zeros(len(scale), dtype=torch.int64)
        with warnings.catch_warnings():
            # torch is pinned; no later kernel is as fast on the CPU.
            warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor")
            quantized = torch._make_per_channel_quantized_tensor(
                weight, scale.double(), zero_points, 0
            )
            self._packed = torch.ops.quantized.linear_prepack(quantized, bias)
        # Without VNNI the kernel's 16-bit sums overflow unless activations have 7 bits.
        self._reduce_range = not torch.cpu._is_vnni_supported()

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination.update((prefix + key, tensor) for key, tensor in self.tensors().items())

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: Any, missing: Any, *rest: Any
    ) -> None:
        tensors = {key: state_dict.get(prefix + key) for key in ("weight", "scale", "bias")}
        if tensors["weight"] is None or tensors["scale"] is None:
            missing.append(prefix + "weight")
            return
        self.__init__(  # type: ignore[misc]
            tensors["weight"], tensors["scale"], tensors["bias"], self.inputs, self.outputs
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See the class."""
        outputs: torch.Tensor
        if self.inputs is not None:
            outputs = self._with_fixed_range(inputs, self.inputs)
        else:
            outputs = torch.ops.quantized.linear_dynamic(
                inputs.contiguous(), self._packed, self._reduce_range
            )
        return outputs if self.outputs is None else self.outputs.rounded(outputs)

    def _with_fixed_range(self, values: torch.Tensor, fixed: ActivationRange) -> torch.Tensor:
        if self._reduce_range:  # the kernel's sums would overflow: the same result, in fp32
            tensors = self.tensors()
            weight = tensors["weight"].float() * tensors["scale"][:, None]
            return functional.linear(fixed.rounded(values), weight, tensors.get("bias"))
        # The kernel takes integers from 0 to 255.
        shift = -128 if fixed.smallest < 0 else 0
        ends = (fixed.smallest - fixed.zero_point, fixed.largest - fixed.zero_point)
        within = values.clamp(*(end * fixed.scale for end in ends)) if shift else values
        return cast(
            torch.Tensor,
            torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
                within.contiguous(), fixed.scale, fixed.zero_point - shift, self._packed
            ),
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weight (int8), scale and bias, as they are saved."""
        quantized, bias = torch.ops.quantized.linear_unpack(self._packed)
        tensors = {
            "weight": quantized.int_repr().contiguous(),
            "scale": quantized.q_per_channel_scales().float(),
        }
        return tensors if bias is None else {**tensors, "bias": bias.detach().contiguous()}


class Int8Embedding(nn.Module):
    """An embedding with int8 rows: numbers ``[...]`` -> fp32 ``[..., width]``."""

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, weight: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.weight[numbers].float() * self.scale[numbers].unsqueeze(-1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weight (int8) and scale, as they are saved."""
        return {"weight": self.weight.contiguous(), "scale": self.scale.contiguous()}


Int8Module = Int8Linear | Int8Embedding


def convert(
    model: nn.Module, *, embeddings: bool, inputs: Mapping[str, ActivationRange] | None = None
) -> list[str]:
    """Replace every Linear (and Embedding) by an 8-bit module, in place; returns their names.

    Args:
        model: The model, changed in place.
        embeddings: Whether embeddings are replaced too.
        inputs: Fixed range of each linear layer's input; None: the range of each batch.
    """
    names = []
    for name, module in list(model.named_modules()):
        new: Int8Module
        if isinstance(module, nn.Linear | Conv1D):
            # A copy, since a bias that two modules share would be saved once.
            bias = None if module.bias is None else module.bias.detach().float().clone()
            weight = module.weight.detach()
            rows = weight.t().contiguous() if isinstance(module, Conv1D) else weight
            fixed = None if inputs is None else inputs[name]
            new = Int8Linear(*quantize_rows(rows), bias, fixed)
        elif embeddings and isinstance(module, nn.Embedding):
            new = Int8Embedding(*quantize_rows(module.weight.detach()))
        else:
            continue
        model.set_submodule(name, new)
        names.append(name)
    return names


class Int8(Format):
    """Linear layers (and embeddings) with 8-bit weights."""

    name = "int8"
    note_file = "quantization.json"
    order = 90
    trainable = False
    same_operations = True
    only_on_cpu = True
    low_bit = True

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: the names of the 8-bit modules."""
        modules = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, Int8Linear | Int8Embedding)
        }
        if not modules:
            return None
        note = {
            "format": 1,
            "scheme": "int8_dynamic",
            "weights": "symmetric per row: real = scale * integer, zero point 0",
            "modules": {
                name: "linear" if isinstance(module, Int8Linear) else "embedding"
                for name, module in modules.items()
            },
        }
        linears = {n: module for n, module in modules.items() if isinstance(module, Int8Linear)}
        if not any(module.inputs is not None for module in linears.values()):
            return note
        return {
            **note,
            "scheme": STATIC,
            "activations": "real = scale * (integer - zero_point)",
            "inputs": {n: _range_note(module.inputs) for n, module in linears.items()},
            "outputs": {n: _range_note(module.outputs) for n, module in linears.items()},
        }

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        if note.get("scheme") not in ("int8_dynamic", STATIC):
            raise ValueError(f"{self.note_file} has an unknown format")
        for name in note["modules"]:
            plain: Any = model.get_submodule(name)
            rows, columns = plain.weight.shape
            if isinstance(plain, Conv1D):  # GPT-2 stores its matrices transposed
                rows, columns = columns, rows
            weight = torch.zeros((rows, columns), dtype=torch.int8)
            scale = torch.ones(rows)
            new: Int8Module
            if isinstance(plain, nn.Linear | Conv1D):
                bias = None if plain.bias is None else torch.zeros(rows)
                new = Int8Linear(
                    weight,
                    scale,
                    bias,
                    _noted_range(note.get("inputs", {}).get(name)),
                    _noted_range(note.get("outputs", {}).get(name)),
                )
            else:
                new = Int8Embedding(weight, scale)
            model.set_submodule(name, new)

    def stored_tensors(self, module: nn.Module) -> Sequence[StoredTensor]:
        """See ``Format.stored_tensors``: 8-bit weights, scales, biases."""
        if not isinstance(module, Int8Linear | Int8Embedding):
            return ()
        is_linear = isinstance(module, Int8Linear)
        return [
            StoredTensor(tensor, key != "scale", is_matrix=is_linear and key == "weight")
            for key, tensor in module.tensors().items()
        ]

    def speed_note(self, note: Note, device: str) -> str | None:
        """See ``Format.speed_note``: fixed ranges need the processor's 8-bit instructions."""
        if note["scheme"] != STATIC or torch.cpu._is_vnni_supported():
            return None
        return (
            "numerics only: this processor has no VNNI instructions, without which fixed ranges of "
            "8 bits are computed in fp32; the model is smaller, not faster"
        )


def _range_note(fixed: ActivationRange | None) -> Note | None:
    return None if fixed is None else asdict(fixed)


def _noted_range(note: Note | None) -> ActivationRange | None:
    return None if note is None else ActivationRange(**note)


FORMAT = Int8()
