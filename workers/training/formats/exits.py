"""Early exits: classifiers after some layers, and a forward pass that ends at one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from workers.training.formats.base import Format, Note, require_format
from workers.training.model.recording import encoder_layers


class _EverybodyLeftError(Exception):
    """No example of the batch needs the remaining modules."""


@dataclass
class ExitsOutput(SequenceClassifierOutput):
    """The output of a classifier with exits.

    Attributes:
        exit_logits: Logits of all classifiers, each ``[batch, classes]``; None where examples may
            leave early.
    """

    exit_logits: tuple[torch.Tensor, ...] | None = None


def weighted_state(pooled: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The state that a classifier reads: a sum with weights of unit L2 norm.

    s = sum_i w_i / |w|_2 * tanh(W h_i + b). The weights are learned through the norm; in the
    authors' code they are recreated after each forward pass, so that no step changes them.

    Args:
        pooled: Tanh-pooled [CLS] states of the layers so far ``[layers, ..., hidden]``.
        weights: Their weights before normalization ``[layers]``.

    Source: Schwartz et al. 2020, The Right Tool for the Job, section 3.1, arXiv:2004.07453.
    """
    shape = (-1, *[1] * (pooled.dim() - 1))
    return (functional.normalize(weights, dim=0).view(shape) * pooled).sum(0)


def confidence(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """The largest probability, max softmax(z / T), over the last dimension."""
    return torch.softmax(logits / temperature, dim=-1).amax(dim=-1)


class Exits(nn.Module):
    """Classifiers after some layers; the model's own is the one after the last layer.

    Each reads a weighted sum of the pooled first tokens of all layers so far; one pooler, the
    model's, serves them all. In training, and without a threshold, all of them compute. In use
    with a threshold an example leaves at the first classifier whose largest probability,
    softmax(z / T), reaches it: its row is removed from the batch for the remaining layers.

    Attributes:
        layers: Layers, from 0, after which there is a classifier; the last layer is among them.
        temperatures: Temperature of each classifier.
        threshold: Confidence at which an example leaves; None: no example leaves early.
        stop_at: Exit at which the pass ends for all examples, to count operations.
        left_at: Exit of each example in the last forward pass with a threshold ``[batch]``.

    Source: Schwartz et al. 2020, The Right Tool for the Job, section 3, arXiv:2004.07453.
    """

    def __init__(self, model: PreTrainedModel, layers: Sequence[int]) -> None:
        super().__init__()
        config = model.config
        self.layers = list(layers)
        self.mixes = nn.ParameterList([nn.Parameter(torch.ones(layer + 1)) for layer in layers])
        self.classifiers = nn.ModuleList(
            [nn.Linear(config.hidden_size, config.num_labels or 1) for _ in layers[:-1]]
        )
        for linear in self.classifiers:
            nn.init.normal_(linear.weight, std=config.initializer_range)  # type: ignore[arg-type]
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
        self.temperatures = [1.0] * len(layers)
        self.threshold: float | None = None
        self.stop_at: int | None = None
        self._of = [model]  # in a list, or it would be a part of this module
        self._begin()

    def _begin(self) -> None:
        self.left_at: torch.Tensor | None = None
        self._logits: torch.Tensor | None = None
        self._rows: torch.Tensor | None = None  # of the examples that have not left
        self._every: list[torch.Tensor] = []
        self._pooled: list[torch.Tensor] = []
        self._only_pools = True  # whether the pooler may be called without ending the pass

    @property
    def leaves_early(self) -> bool:
        """Whether examples may leave before the last layer."""
        return self.threshold is not None and not self.training

    def run(self, *args: Any, **inputs: Any) -> ExitsOutput:
        """The model's forward pass, which ends when every example has its logits."""
        (model,) = self._of
        self._begin()
        self._only_pools = False
        with suppress(_EverybodyLeftError):
            type(model).forward(model, *args, **inputs)
        logits, every, left_at = self._logits, tuple(self._every), self.left_at
        self._begin()  # tensors of a pass would prevent copying the model
        self.left_at = left_at
        if self.leaves_early:
            return ExitsOutput(logits=logits)
        return ExitsOutput(logits=every[-1], exit_logits=every)

    def serve(self, model: PreTrainedModel) -> None:
        """Replace the forward pass of a model whose layers and pooler have these exits' hooks."""
        self._of = [model]
        model.forward = partial(self.run)  # not a method: accelerate would bind its function

    def before_layer(
        self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """A hook: give a layer the attention mask of the examples that have not left."""
        if self._rows is None or self.left_at is None:
            return None
        place = "attention_mask"
        mask = args[1] if len(args) > 1 else kwargs.get(place)
        if mask is None or len(mask) != len(self.left_at):
            return None
        row_mask = mask[self._rows]
        return (
            ((args[0], row_mask, *args[2:]), kwargs)
            if len(args) > 1
            else (args, kwargs | {place: row_mask})
        )

    def after_layer(self, layer: nn.Module, args: Any, output: Any) -> torch.Tensor | None:
        """A hook: pool a layer's ``[batch, seq, hidden]``, and compute its classifier, if any.

        Returns:
            The states of the examples that continue; None if all do.
        """
        assert isinstance(output, torch.Tensor)
        self._pooled.append(self._pool(output))
        number = len(self._pooled) - 1
        if number not in self.layers:
            return None
        exit_number = self.layers.index(number)
        logits = self._classify(exit_number)
        if self.leaves_early:
            return self._let_leave(exit_number, logits, output)
        self._every.append(logits)
        if exit_number == self.stop_at:
            raise _EverybodyLeftError
        return None

    def before_pooler(self, pooler: nn.Module, args: Any) -> None:
        """A hook: after the last layer nothing else of the model is needed."""
        if not self._only_pools:
            raise _EverybodyLeftError

    def _pool(self, hidden: torch.Tensor) -> torch.Tensor:
        (model,) = self._of
        self._only_pools = True
        pooled: torch.Tensor = model.base_model.pooler(hidden)  # type: ignore[operator]
        self._only_pools = False
        return pooled

    def _classify(self, exit_number: int) -> torch.Tensor:
        (model,) = self._of
        state = model.dropout(weighted_state(torch.stack(self._pooled), self.mixes[exit_number]))  # type: ignore[operator]
        is_last = exit_number == len(self.layers) - 1
        classifier = model.classifier if is_last else self.classifiers[exit_number]
        logits: torch.Tensor = classifier(state)  # type: ignore[operator]
        return logits

    def _let_leave(
        self, exit_number: int, logits: torch.Tensor, hidden: torch.Tensor
    ) -> torch.Tensor | None:
        if self._rows is None or self.left_at is None or self._logits is None:
            self._rows = torch.arange(len(logits), device=logits.device)
            self.left_at = torch.full_like(self._rows, -1)
            self._logits = torch.zeros_like(logits)
        assert self.threshold is not None
        sure = confidence(logits.float(), self.temperatures[exit_number]) >= self.threshold
        if exit_number == len(self.layers) - 1:
            sure = torch.ones_like(sure)
        self.left_at[self._rows[sure]] = exit_number
        self._logits[self._rows[sure]] = logits[sure]
        stay = torch.nonzero(~sure)[:, 0]
        if len(stay) == len(self._rows):
            return None
        if len(stay) == 0:
            raise _EverybodyLeftError
        self._rows = self._rows[stay]
        self._pooled = [pooled[stay] for pooled in self._pooled]
        return hidden[stay]


def why_no_exits(model: PreTrainedModel, layers: Sequence[int]) -> str | None:
    """Why a model cannot have exits after some layers; None if it can.

    Args:
        model: The model.
        layers: Layers, from 0.
    """
    pooler = getattr(model.base_model, "pooler", None)
    shaped = isinstance(getattr(pooler, "activation", None), nn.Tanh)
    if not shaped or not isinstance(getattr(model, "classifier", None), nn.Module):
        return (
            f"a {model.config.model_type} model has no tanh pooler with a classifier; "
            "use a BERT encoder"
        )
    last = len(encoder_layers(model)) - 1
    rising = list(layers) == sorted(set(layers))
    if len(layers) < 2 or not rising or layers[0] < 0 or layers[-1] != last:
        return f"exits must rise, and end with the last layer, {last} (got {list(layers)})"
    return None


def add_exits(model: PreTrainedModel, layers: Sequence[int]) -> Exits:
    """Give a classifier exits after some layers, in place.

    Args:
        model: The model, changed in place.
        layers: Layers, from 0, in order; the last one is the model's last.

    Raises:
        ValueError: The model cannot have such exits.
    """
    if (reason := why_no_exits(model, layers)) is not None:
        raise ValueError(reason)
    exits = Exits(model, layers)
    model.add_module("exits", exits)
    for layer in dict.fromkeys(encoder_layers(model)):  # a shared layer calls its hooks each time
        layer.register_forward_pre_hook(exits.before_layer, with_kwargs=True)
        layer.register_forward_hook(exits.after_layer)
    model.base_model.pooler.register_forward_pre_hook(exits.before_pooler)  # type: ignore[union-attr]
    exits.serve(model)
    return exits


def exits_of(model: nn.Module) -> Exits | None:
    """A model's exits; None for a model without exits."""
    exits = getattr(model, "exits", None)
    return exits if isinstance(exits, Exits) else None


@contextmanager
def all_layers(model: nn.Module) -> Iterator[None]:
    """Disable early exits inside: scores and ranges cover every layer and all examples."""
    exits = exits_of(model)
    threshold = None if exits is None else exits.threshold
    if exits is not None:
        exits.threshold = None
    try:
        yield
    finally:
        if exits is not None:
            exits.threshold = threshold


class EarlyExit(Format):
    """A classifier with exits."""

    name = "exits"
    note_file = "exits.json"
    order = 40
    only_in_use = frozenset({"threshold", "temperatures"})

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: layers, temperatures and threshold."""
        exits = exits_of(model)
        if exits is None:
            return None
        return {
            "format": 1,
            "layers": exits.layers,
            "temperatures": exits.temperatures,
            "threshold": exits.threshold,
        }

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        exits = add_exits(model, note["layers"])
        exits.temperatures, exits.threshold = list(note["temperatures"]), note["threshold"]


FORMAT = EarlyExit()
