"""Modules of a trained model that take the place of layers of a model which learns inside it.

Source: Xu, Zhou, Ge, Wei, Zhou 2020, BERT-of-Theseus: Compressing BERT by Progressive Module
Replacing, arXiv:2002.02925.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.training.cost.flops import FlopProfile
from workers.training.model.attention_inputs import attention_inputs
from workers.training.model.recording import NOTHING, Needs, encoder_layers, set_attention
from workers.training.plugin import BatchPlace, Plugin, Step

Rate = Callable[[int, int], float]
"""From (steps done, total) the probability that a module is replaced."""


def linear_rate(step: int, base: float, slope: float) -> float:
    """min(1, k t + b).

    Args:
        step: t, number of finished optimizer steps.
        base: b.
        slope: k.

    Source: Xu et al. 2020, section 3.4, equation 6.
    """
    return min(1.0, slope * step + base)


def draw_modules(place: BatchPlace, modules: int, rate: float) -> list[bool]:
    """Whether each module is replaced in one forward pass: one Bernoulli draw for each.

    The draws depend on the position in training alone: they are the same on every rank.

    Args:
        place: Position of the batch.
        modules: Number of modules.
        rate: Probability.

    Source: Xu et al. 2020, equation 2.
    """
    everywhere = BatchPlace(place.step, place.part, 0, place.seed)
    numbers = torch.rand(modules, generator=everywhere.generator("theseus"), dtype=torch.float64)
    return [bool(number < rate) for number in numbers]


class Replacing(Plugin):
    """Lets modules of the predecessor take the place of layers of the model, its successor.

    Only the successor's layers are trained; embeddings, pooler and head, which are the
    predecessor's, are frozen. An evaluation uses the successor alone.

    Args:
        predecessor: A model with a multiple of the successor's layers; frozen here.
        rate: Probability that a module is the successor's.
        profile: Operations of the successor.
        needs: Recordings of the grafted model's forward pass, which include those of the
            predecessor's layers that are in it.
    """

    unused_parameters = True

    def __init__(
        self,
        predecessor: PreTrainedModel,
        rate: Rate,
        profile: FlopProfile,
        needs: Needs = NOTHING,
    ) -> None:
        self.predecessor = predecessor.requires_grad_(False)
        self.needs = needs
        self._rate = rate
        self._profile = profile
        self._total = 0
        self._frozen: list[nn.Parameter] = []
        self._layers: list[nn.Module] = []
        self._inputs = 0
        self.draws: list[bool] = []

    @property
    def layers_each(self) -> int:
        """Layers of the predecessor in one module."""
        return len(encoder_layers(self.predecessor)) // len(self._layers)

    def attach(self, model: nn.Module) -> None:
        """Freeze all but the layers, and make each layer pass its input to the predecessor."""
        self._layers = list(encoder_layers(model))
        self.draws = [True] * len(self._layers)
        trained = {id(p) for layer in self._layers for p in layer.parameters()}
        self._frozen = [p for p in model.parameters() if id(p) not in trained and p.requires_grad]
        for parameter in self._frozen:
            parameter.requires_grad_(False)
        matrices = attention_inputs(self._layers[0]).values()
        self._inputs = sum(matrix.weight.numel() for matrix in matrices)
        self.predecessor.to(next(model.parameters()).device)  # type: ignore[arg-type]
        self.predecessor.train(True)
        if self.needs.implementation is not None:
            set_attention(self.predecessor, self.needs.implementation)
        originals = list(encoder_layers(self.predecessor))
        each = self.layers_each
        for number, layer in enumerate(self._layers):
            part = originals[number * each : (number + 1) * each]
            self._graft(number, layer, part)

    def _graft(self, number: int, layer: nn.Module, part: Sequence[nn.Module]) -> None:
        own = type(layer).forward
        last = number == len(self._layers) - 1

        def forward(successor: nn.Module, *args: Any, **options: Any) -> Any:
            if self.draws[number] or not successor.training:
                return own(successor, *args, **options)
            output = _in_turn(part, *args, **options)
            if last and torch.is_grad_enabled():
                _let_gradients_begin(output)
            return output

        layer.forward = MethodType(forward, layer)

    def before_step(self, step: Step) -> None:
        """Note the length of the training."""
        self._total = step.total

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        """Draw the modules of the next forward pass; the batch itself does not change."""
        rate = self._rate(place.step, self._total)
        self.draws = draw_modules(place, len(self._layers), rate)
        return batch

    def detach(self, model: nn.Module) -> None:
        """Leave the successor alone, with every parameter trainable."""
        for layer in self._layers:
            layer.__dict__.pop("forward", None)
        for parameter in self._frozen:
            parameter.requires_grad_(True)

    def extra_flops(self, rows: int, width: int) -> float:
        """The difference to forward and backward of all of the successor's layers.

        A module of the predecessor is ``layers_each`` layers forward, and backward to its input
        if a module before it learns; its weights need no gradient. The first module that learns
        needs none for its input. Head and pooler need none for their weights.
        """
        return self.extra_effective_flops(rows, width, 1.0)

    def extra_effective_flops(self, rows: int, width: int, density: float) -> float:
        """``extra_flops`` where the successor's layers have zeros and the predecessor's none."""
        mixing = self._profile.square * width**2 / len(self._layers)
        matrices = self._profile.linear * width / len(self._layers)
        extra = -(self._profile.fixed + self._profile.head * width)
        learns_before = False
        for replaced in self.draws:
            if replaced:
                extra -= 0.0 if learns_before else 2.0 * width * self._inputs * density
                learns_before = True
                continue
            backward = matrices + 2 * mixing if learns_before else 0.0
            extra += self.layers_each * (matrices + mixing + backward)
            extra -= 3 * (matrices * density + mixing)
        return rows * extra


def _in_turn(layers: Sequence[nn.Module], *args: Any, **options: Any) -> Any:
    """Layers one after another, each called as the first one is."""
    hidden = args[0] if args else options.pop("hidden_states")
    output: Any = hidden
    for layer in layers:
        state = output[0] if isinstance(output, tuple) else output
        output = layer(state, *args[1:], **options)
    return output


def _let_gradients_begin(output: Any) -> None:
    """If no module of a pass learns, let the backward pass end here instead of failing."""
    state = output[0] if isinstance(output, tuple) else output
    if not state.requires_grad:
        state.requires_grad_()
