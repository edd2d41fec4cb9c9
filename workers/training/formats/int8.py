"""8-bit weights: modules that compute with them, and their form on disk (no pickle)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

NOTE = "quantization.json"
WEIGHTS = "model.safetensors"


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric 8-bit rows: S = max|r| / 127, Z = 0, so zero stays exactly zero.

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
    """A linear layer with int8 weights; activations are quantized as they come.

    x ``[..., in]`` -> ``[..., out]``. Runs on the CPU. Weights are held packed for its kernel.
    """

    def __init__(
        self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        zero_points = torch.zeros(len(scale), dtype=torch.int64)
        with warnings.catch_warnings():
            # torch is pinned; the kernel has no successor on the CPU that is as fast.
            warnings.filterwarnings("ignore", message=r"torch\.quantize_per_tensor")
            quantized = torch._make_per_channel_quantized_tensor(
                weight, scale.double(), zero_points, 0
            )
            self._packed = torch.ops.quantized.linear_prepack(quantized, bias)
        # Without VNNI the kernel's 16-bit sums overflow unless activations keep to 7 bits.
        self._reduce_range = not torch.cpu._is_vnni_supported()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See the class."""
        answer = torch.ops.quantized.linear_dynamic(
            inputs.contiguous(), self._packed, self._reduce_range
        )
        return cast(torch.Tensor, answer)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weight (int8), scale and bias, as they go to disk."""
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
        """Weight (int8) and scale, as they go to disk."""
        return {"weight": self.weight.contiguous(), "scale": self.scale.contiguous()}


Int8Module = Int8Linear | Int8Embedding


def convert(model: nn.Module, *, embeddings: bool) -> list[str]:
    """Replace every Linear (and Embedding) by its 8-bit form, in place; returns their names."""
    names = []
    for name, module in list(model.named_modules()):
        new: Int8Module
        if isinstance(module, nn.Linear):
            bias = None if module.bias is None else module.bias.detach().float()
            new = Int8Linear(*quantize_rows(module.weight.detach()), bias)
        elif embeddings and isinstance(module, nn.Embedding):
            new = Int8Embedding(*quantize_rows(module.weight.detach()))
        else:
            continue
        model.set_submodule(name, new)
        names.append(name)
    return names


def int8_modules(model: nn.Module) -> dict[str, Int8Module]:
    """The 8-bit modules of a model by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, Int8Linear | Int8Embedding)
    }


def is_quantized(folder: Path) -> bool:
    """Whether a saved model has 8-bit weights."""
    return (folder / NOTE).exists()


def save(model: PreTrainedModel, folder: Path) -> None:
    """Write an 8-bit model: config, ``quantization.json`` beside it, and its tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = int8_modules(model)
    tensors = {
        f"{name}.{key}": tensor
        for name, module in modules.items()
        for key, tensor in module.tensors().items()
    }
    for name, tensor in model.state_dict().items():
        if name.rpartition(".")[0] not in modules:
            tensors[name] = tensor.contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    model.config.save_pretrained(folder)
    note = {
        "format": 1,
        "scheme": "int8_dynamic",
        "weights": "symmetric per row: real = scale * integer, zero point 0",
        "modules": {
            name: "linear" if isinstance(module, Int8Linear) else "embedding"
            for name, module in modules.items()
        },
    }
    (folder / NOTE).write_text(json.dumps(note, indent=2), encoding="utf-8")


def load(folder: Path) -> PreTrainedModel:
    """Rebuild a model that ``save`` wrote.

    Raises:
        ValueError: the folder is of another format.
    """
    note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    if note.get("format") != 1 or note.get("scheme") != "int8_dynamic":
        raise ValueError(f"{NOTE} is of an unknown format")
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    tensors = load_file(folder / WEIGHTS)
    for name, kind in note["modules"].items():
        weight, scale = tensors.pop(f"{name}.weight"), tensors.pop(f"{name}.scale")
        bias = tensors.pop(f"{name}.bias", None)
        model.set_submodule(
            name,
            Int8Linear(weight, scale, bias) if kind == "linear" else Int8Embedding(weight, scale),
        )
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    wanted = [name for name in missing if name.rpartition(".")[0] not in note["modules"]]
    if wanted or unexpected:
        raise ValueError(f"{WEIGHTS} does not fit its config: {[*wanted, *unexpected][:5]}")
    return cast(PreTrainedModel, model.eval())
