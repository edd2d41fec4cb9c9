"""Training with rounded weights and activations, which simulate those of the integer model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from workers.job import ranks
from workers.job.request import JobError
from workers.training.model.precision import number_type
from workers.training.plugin import Plugin
from workers.training.quantization.affine import (
    ActivationRange,
    Blocks,
    asymmetric_parameters,
    fake_asymmetric,
    fake_blocks,
    fake_symmetric,
    symmetric_scale,
)

UNCOUNTED = ("rounding of weights and activations",)

Symmetry = Literal["symmetric", "asymmetric"]


@dataclass(frozen=True)
class Rounding:
    """Rounding of a module in training.

    Attributes:
        bits: Bits of a weight.
        blocks: Weights that share a scale.
        inputs: How a linear layer's input is rounded to 8 bits; None: not at all.
        outputs: Whether its output is rounded to 8 bits too, symmetrically.
    """

    bits: int
    blocks: Blocks
    inputs: Symmetry | None = None
    outputs: bool = False


class MovingRange:
    """A moving average of the extremes of an activation, over the batches of all ranks.

    The first batch fills it; a batch is added before the range is used for it.

    Args:
        decay: Weight of the former average.
        symmetry: Whether the range is -max|x| to max|x|.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """

    def __init__(self, decay: float, symmetry: Symmetry) -> None:
        self.decay, self.symmetry = decay, symmetry
        self.ends: torch.Tensor | None = None  # [lowest, highest]

    def add(self, values: torch.Tensor) -> None:
        """Add the extremes of a batch."""
        low, high = (end.to(_at_least_single(values)) for end in torch.aminmax(values))
        if self.symmetry == "symmetric":
            high = torch.maximum(high, -low)
            low = -high
        ends = torch.stack([-low, high])
        if ranks.world_size() > 1:
            torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
        ends = torch.stack([-ends[0], ends[1]])
        if self.ends is None:
            self.ends = ends
        else:
            self.ends = self.decay * self.ends.to(ends.device) + (1 - self.decay) * ends

    def fake(self, values: torch.Tensor) -> torch.Tensor:
        """The values rounded to 8 bits within the range, with the straight-through gradient."""
        if self.ends is None:
            return values.to(_at_least_single(values))
        ends = self.ends.to(values.device)
        if self.symmetry == "symmetric":
            return fake_symmetric(values, symmetric_scale(ends[1], 8), 8)
        scale, zero_point = asymmetric_parameters(ends[0], ends[1], 0, 255)
        return fake_asymmetric(values, scale, zero_point, 0, 255)

    def fixed(self) -> ActivationRange | None:
        """The range for use; None if no batch was added."""
        if self.ends is None:
            return None
        low, high = self.ends.tolist()
        if self.symmetry == "symmetric":
            return ActivationRange.symmetric(high)
        return ActivationRange.asymmetric(low, high)


class FakeQuant(Plugin):
    """Rounds the weights of some modules, and activations to 8 bits, in each forward pass.

    The weights themselves stay real numbers, to which the gradient passes straight through.
    ``plan`` remains readable.

    Args:
        plan: How each module computes, by name: Linear, Conv1D or Embedding.
        decay: Weight of the former average in ranges of activations.

    Source: Jacob et al. 2018, section 3, doi:10.1109/CVPR.2018.00286; Zafrir et al. 2019,
    section 2, arXiv:1910.06188.
    """

    def __init__(self, plan: Mapping[str, Rounding], decay: float) -> None:
        self.plan = plan
        self.inputs = {
            name: MovingRange(decay, rounding.inputs)
            for name, rounding in plan.items()
            if rounding.inputs is not None
        }
        self.outputs = {
            name: MovingRange(decay, "symmetric")
            for name, rounding in plan.items()
            if rounding.outputs
        }

    def attach(self, model: nn.Module) -> None:
        """Replace the forward pass of the modules."""
        for name in self.plan:
            module = model.get_submodule(name)
            module.forward = self._forward_of(name, module)

    def detach(self, model: nn.Module) -> None:
        """Restore the modules' own forward pass."""
        for name in self.plan:
            del model.get_submodule(name).forward

    def state(self) -> dict[str, torch.Tensor]:
        """The ranges, as ``[lowest, highest]`` each."""
        return {
            f"{kind}.{name}": each.ends
            for kind, ranges in self._ranges()
            for name, each in ranges.items()
            if each.ends is not None
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the ranges of a checkpoint."""
        for kind, ranges in self._ranges():
            for name, each in ranges.items():
                each.ends = state.get(f"{kind}.{name}")

    def fixed(self, field: str) -> tuple[dict[str, ActivationRange], dict[str, ActivationRange]]:
        """The ranges of inputs and of outputs for use, by module.

        Raises:
            JobError: ``no-activations`` if training did not use a layer.
        """
        inputs, outputs = (
            {name: _required(name, each.fixed(), field) for name, each in ranges.items()}
            for _, ranges in self._ranges()
        )
        return inputs, outputs

    def _ranges(self) -> tuple[tuple[str, dict[str, MovingRange]], ...]:
        return ("inputs", self.inputs), ("outputs", self.outputs)

    def _forward_of(self, name: str, module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        rounding = self.plan[name]
        if isinstance(module, nn.Embedding):
            return lambda numbers: _embedded(module, numbers, rounding)

        def forward(values: torch.Tensor) -> torch.Tensor:
            values = self._rounded(self.inputs.get(name), values, module)
            weight = module.weight.t() if isinstance(module, Conv1D) else module.weight
            # In the type to which the product converts them, if it does.
            dtype = number_type(values.device.type, weight.dtype)
            weight = fake_blocks(weight, rounding.blocks, rounding.bits, dtype)
            values = values.to(dtype)
            outputs = functional.linear(values, weight, module.bias)
            return self._rounded(self.outputs.get(name), outputs, module)

        return forward

    def _rounded(
        self, moving: MovingRange | None, values: torch.Tensor, module: nn.Module
    ) -> torch.Tensor:
        if moving is None:
            return values
        if module.training:
            moving.add(values.detach())
        return moving.fake(values)


def _required(name: str, fixed: ActivationRange | None, field: str) -> ActivationRange:
    if fixed is None:
        raise JobError(
            "no-activations",
            f"training did not use the layer {name}, so that its range is unknown",
            field,
        )
    return fixed


def _at_least_single(values: torch.Tensor) -> torch.dtype:
    """The type of the values, or fp32 if it is smaller."""
    return torch.float32 if values.element_size() < 4 else values.dtype


def _embedded(module: nn.Embedding, numbers: torch.Tensor, rounding: Rounding) -> torch.Tensor:
    """Rounded rows of an embedding; only the rows that occur are rounded."""
    rows, width = module.weight.shape
    largest = rounding.blocks.largest(module.weight.detach())
    scale = symmetric_scale(largest, rounding.bits)[numbers * len(largest) // rows]
    if scale.shape[-1] > 1:
        assert rounding.blocks.column_size is not None
        scale = scale.repeat_interleave(rounding.blocks.column_size, dim=-1)[..., :width]
    plain = functional.embedding(numbers, module.weight, module.padding_idx)
    return fake_symmetric(plain, scale, rounding.bits)
