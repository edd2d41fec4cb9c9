"""One batch in the model's forward pass, as loss terms and teachers read it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import nn

from workers.training.model.recording import LayerAttention

MODEL_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})


def accepted(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a batch that a model takes: a student may know fewer than its teacher.

    Args:
        model: A model, not wrapped.
        batch: Tensors by name.
    """
    names = _accepted_names(type(model).forward)
    return {name: tensor for name, tensor in batch.items() if name in names}


@cache
def _accepted_names(forward: Callable[..., Any]) -> frozenset[str]:
    return MODEL_INPUTS & inspect.signature(forward).parameters.keys()


@dataclass(frozen=True)
class ForwardPass:
    """One batch in the model's forward pass: everything that a loss term may read.

    ``hidden_states`` and ``attention`` are recorded if a plug-in needs them. ``targets`` are the
    batch's tensors that are not inputs of the model.
    """

    model: nn.Module
    outputs: Any
    inputs: dict[str, torch.Tensor]
    targets: Mapping[str, torch.Tensor]
    hidden_states: Sequence[torch.Tensor] = ()  # embeddings, then each layer: [batch, seq, hidden]
    attention: Sequence[LayerAttention] = ()
    as_in_data: bool = True  # no plug-in changes batches: rows of one index are equal

    @cached_property
    def logits(self) -> torch.Tensor:
        """The model's logits in fp32, ``[batch, ..., classes]``."""
        logits: torch.Tensor = self.outputs.logits.float()
        return logits

    @property
    def labels(self) -> torch.Tensor:
        """Class numbers (integers) or scores (floats)."""
        return self.targets["labels"]

    @property
    def index(self) -> torch.Tensor:
        """Numbers of the examples in the training split, ``[batch]``."""
        return self.targets["index"]
