"""The forward pass that Accelerate wraps in the number format of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

_OWN, _WRAPPED, _PREPARED = "_original_forward", "forward", "_is_accelerate_prepared"


@contextmanager
def unwrapped_afterwards(model: PreTrainedModel) -> Iterator[None]:
    """Give a model its own forward pass back after a training.

    Accelerate wraps a model's forward pass and marks the model. A marked model is not wrapped
    again: a replacement of its forward pass between two trainings would make the second one compute
    in fp32.
    """
    own = model.__dict__.get(_WRAPPED)
    try:
        yield
    finally:
        for name in (_WRAPPED, _OWN, _PREPARED):
            model.__dict__.pop(name, None)
        if own is not None:
            model.__dict__[_WRAPPED] = own


@contextmanager
def in_full_precision(model: PreTrainedModel) -> Iterator[None]:
    """Let a model in training compute in the format of its weights, for an evaluation."""
    wrapped: Any = model.__dict__.get(_WRAPPED)
    own = model.__dict__.get(_OWN)
    if own is None:
        yield
        return
    model.__dict__[_WRAPPED] = own
    try:
        yield
    finally:
        model.__dict__[_WRAPPED] = wrapped
