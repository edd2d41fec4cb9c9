"""Training without a head: a loss on inner states does not need the logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from torch import nn
from transformers import PreTrainedModel


@contextmanager
def without_head(model: PreTrainedModel) -> Iterator[None]:
    """Compute only the encoder in training mode inside; an evaluation computes the head too.

    Head and pooler are frozen: they get no gradient. A language model's head is a quarter of
    BERT-base's operations.
    """
    original_forward = type(model).forward

    def forward(self: PreTrainedModel, *args: Any, **inputs: Any) -> Any:
        if self.training:
            return self.base_model(*args, **inputs)
        return original_forward(self, *args, **inputs)

    idle = [parameter for parameter in _outside_encoder(model) if parameter.requires_grad]
    for parameter in idle:
        parameter.requires_grad_(False)
    model.forward = MethodType(forward, model)
    try:
        yield
    finally:
        model.__dict__.pop("forward", None)
        for parameter in idle:
            parameter.requires_grad_(True)


def _outside_encoder(model: PreTrainedModel) -> list[nn.Parameter]:
    """The parameters of pooler and head that the encoder does not share."""
    pooler = getattr(model.base_model, "pooler", None)
    pooled = set() if pooler is None else {id(parameter) for parameter in pooler.parameters()}
    inside = {id(parameter) for parameter in model.base_model.parameters()} - pooled
    return [parameter for parameter in model.parameters() if id(parameter) not in inside]
