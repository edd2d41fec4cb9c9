"""LayerDrop: layers that are skipped at random in training.

Source: Fan, Grave, Joulin 2020, Reducing Transformer Depth on Demand with Structured Dropout,
arXiv:1909.11556.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from pricetag.accounting.work.flops import TRAINING_PER_FORWARD
from workers.job.request import JobError
from workers.training.model.recording import encoder_layers
from workers.training.plugin import BatchPlace, Plugin


def kept_layers(uniforms: Sequence[float] | torch.Tensor, p: float) -> list[int]:
    """The layers that are computed in a pass: those with u > p. It may be none.

    Args:
        uniforms: A number in [0, 1) for each layer.
        p: Probability that a layer is skipped.

    Source: Fan et al. 2020, section 3.1; strict as in the authors' ``LayerDropModuleList``.
    """
    remaining: list[int] = (torch.as_tensor(uniforms) > p).nonzero().flatten().tolist()
    return remaining


class LayerDrop(Plugin):
    """Skips layers in training, the same ones on all ranks; evaluation computes all layers.

    Args:
        p: Probability that a layer is skipped.
        layer_flops: Operations of one layer's forward pass on an example of a number of tokens,
            if a share of its weights is not zero.
    """

    unused_parameters = True

    def __init__(self, p: float, layer_flops: Callable[[int, float], float]) -> None:
        self.p = p
        self._layer_flops = layer_flops
        self._layers: nn.ModuleList = nn.ModuleList()
        self._kept: frozenset[int] = frozenset()

    def attach(self, model: nn.Module) -> None:
        """Make each layer pass its input on when it is skipped."""
        self._layers = encoder_layers(model)
        self._kept = frozenset(range(len(self._layers)))
        for number, layer in enumerate(self._layers):
            layer.forward = self._skipping(number, layer)

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        """Draw the layers of this pass; the batch does not change."""
        generator = replace(place, rank=0).generator("layerdrop")
        self._kept = frozenset(
            kept_layers(torch.rand(len(self._layers), generator=generator), self.p)
        )
        return batch

    def detach(self, model: nn.Module) -> None:
        """Give the layers their own forward pass again."""
        for layer in self._layers:
            del layer.forward

    def extra_flops(self, rows: int, width: int) -> float:
        """The operations that the skipped layers saved, as a negative number."""
        return self.extra_effective_flops(rows, width, 1.0)

    def extra_effective_flops(self, rows: int, width: int, density: float) -> float:
        """The same without the zeros of these layers."""
        skipped = len(self._layers) - len(self._kept)
        return -TRAINING_PER_FORWARD * rows * skipped * self._layer_flops(width, density)

    def _skipping(self, number: int, layer: nn.Module) -> Callable[..., Any]:
        original_forward = layer.forward

        def forward(*args: Any, **inputs: Any) -> Any:
            if layer.training and number not in self._kept:
                return args[0] if args else inputs["hidden_states"]
            output = original_forward(*args, **inputs)
            if not isinstance(output, torch.Tensor):
                raise JobError(
                    "layers-not-removable",
                    f"a {type(layer).__name__} returns more than its hidden states; it cannot be "
                    "skipped",
                    "recipe.model",
                )
            return output

        return forward
