"""Early exits: heads after inner layers, and a forward pass that ends at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from workers.training.formats.base import Format, Note, require_format
from workers.training.model.recording import encoder_layers


class _EverybodyLeftError(Exception):
    """No example of the batch needs the remaining layers."""


class ExitHead(nn.Module):
    """A classifier on the pooled first tokens of this exit and the earlier ones.

    ``pooled`` are ``[batch, hidden]`` each; they are added with learned weights of unit L2 norm.

    Source: Schwartz et al. 2020, The Right Tool for the Job, section 3, arXiv:2004.07453.
    """

    temperature: torch.Tensor

    def __init__(self, hidden: int, classes: int, position: int) -> None:
        super().__init__()
        self.pooler = nn.Linear(hidden, hidden)
        self.mix = nn.Parameter(torch.ones(position + 1))
        self.classifier = nn.Linear(hidden, classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, first_token: torch.Tensor, pooled: list[torch.Tensor]) -> torch.Tensor:
        """Logits ``[batch, classes]``; appends this exit's pooled first token to ``pooled``."""
        pooled.append(torch.tanh(self.pooler(first_token)))
        weights = self.mix / self.mix.norm()
        mixed = sum(weight * each for weight, each in zip(weights, pooled, strict=True))
        logits: torch.Tensor = self.classifier(mixed)
        return logits


class Exits(nn.Module):
    """Heads after some layers; the model's own head is the last exit.

    In training all heads compute, and ``logits`` holds their logits for the loss. In use an
    example leaves at the first exit whose largest probability, softmax(z / T), reaches
    ``threshold``; layers that no example of the batch needs are not computed.

    Attributes:
        depths: Layers, from 0, after which there is a head.
        threshold: Confidence at which an example leaves; None: no example leaves early.
        stop_at: Exit at which all examples leave whatever their confidence, to count operations.
        logits: Logits of each head in the last forward pass.
        left_at: The exit of each example in the last forward pass in use; ``len(depths)`` is the
            model's own head.
    """

    def __init__(self, depths: Sequence[int], hidden: int, classes: int) -> None:
        super().__init__()
        self.depths = list(depths)
        self.heads = nn.ModuleList(
            [ExitHead(hidden, classes, position) for position in range(len(self.depths))]
        )
        self.threshold: float | None = None
        self.stop_at: int | None = None
        self.compute_all = False
        self.begin()

    def begin(self) -> None:
        """Reset the state before a forward pass."""
        self.logits: list[torch.Tensor] = []
        self.left_at: torch.Tensor | None = None
        self._pooled: list[torch.Tensor] = []
        self._calls = 0
        self._leavers_logits: torch.Tensor | None = None

    def after_layer(self, hidden: torch.Tensor) -> None:
        """Compute the head after a layer, if it has one, from ``[batch, seq, hidden]``."""
        depth, self._calls = self._calls, self._calls + 1
        active = self.training or self.compute_all or self.threshold is not None
        if depth not in self.depths or not (active or self.stop_at is not None):
            return
        number = self.depths.index(depth)
        logits = self.heads[number](hidden[:, 0], self._pooled)
        self.logits.append(logits)
        if self.stop_at == number:
            self._leavers_logits = logits
            raise _EverybodyLeftError
        if not self.training and self.threshold is not None:
            self._let_leave(number, logits)
            if bool((self._left() >= 0).all()):
                raise _EverybodyLeftError

    def final_logits(self, own: torch.Tensor | None) -> torch.Tensor:
        """The logits of each example after the pass; ``own`` are those of the model's own head."""
        if self._leavers_logits is None:
            assert own is not None
            return own
        if own is None:
            return self._leavers_logits
        stayed = self._left() < 0
        self._left()[stayed] = len(self.depths)
        return torch.where(stayed.unsqueeze(-1), own, self._leavers_logits)

    def _let_leave(self, number: int, logits: torch.Tensor) -> None:
        if self.left_at is None or self._leavers_logits is None:
            self.left_at = torch.full((len(logits),), -1, device=logits.device)
            self._leavers_logits = torch.zeros_like(logits)
        head = self.heads[number]
        assert isinstance(head, ExitHead)
        assert self.threshold is not None
        confidence = torch.softmax(logits / head.temperature, dim=-1).amax(dim=-1)
        leaves = (self.left_at < 0) & (confidence >= self.threshold)
        self.left_at = torch.where(leaves, number, self.left_at)
        self._leavers_logits = torch.where(leaves.unsqueeze(-1), logits, self._leavers_logits)

    def _left(self) -> torch.Tensor:
        assert self.left_at is not None
        return self.left_at


def add_exits(model: PreTrainedModel, depths: Sequence[int]) -> Exits:
    """Give a classifier exits after some layers, in place.

    Raises:
        ValueError: The depths do not rise, or are not below the last layer.
    """
    layers = encoder_layers(model)
    last = len(layers) - 1
    if not depths or list(depths) != sorted(set(depths)) or not 0 <= depths[0] <= depths[-1] < last:
        raise ValueError(f"exits must rise and come after layers 0 to {last - 1} (got {depths})")
    classes = model.config.num_labels or 1
    exits = Exits(depths, int(model.config.hidden_size), classes)
    model.add_module("exits", exits)

    def after(module: nn.Module, args: Any, output: Any) -> None:
        exits.after_layer(output[0] if isinstance(output, tuple) else output)

    for layer in dict.fromkeys(layers):  # a shared layer calls its hook each time
        layer.register_forward_hook(after)
    whole = model.forward

    def forward(*args: Any, **inputs: Any) -> Any:
        exits.begin()
        try:
            outputs = whole(*args, **inputs)
        except _EverybodyLeftError:
            return SequenceClassifierOutput(logits=exits.final_logits(None))
        outputs.logits = exits.final_logits(outputs.logits)
        return outputs

    model.forward = forward
    return exits


def exits_of(model: nn.Module) -> Exits | None:
    """A model's exits; None for a model without exits."""
    exits = getattr(model, "exits", None)
    return exits if isinstance(exits, Exits) else None


class EarlyExit(Format):
    """A classifier with exits."""

    name = "exits"
    note_file = "exits.json"
    order = 40

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: depths and threshold."""
        exits = exits_of(model)
        if exits is None:
            return None
        return {"format": 1, "depths": exits.depths, "threshold": exits.threshold}

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        add_exits(model, note["depths"]).threshold = note["threshold"]


FORMAT = EarlyExit()
