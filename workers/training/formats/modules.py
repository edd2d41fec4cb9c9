"""Replacing the modules of a model by those of another one of its class."""

from __future__ import annotations

from transformers import PreTrainedModel

from workers.training.formats.exits import exits_of


def take_modules(model: PreTrainedModel, other: PreTrainedModel) -> None:
    """Give a model the modules of another one of its class and formats, in place.

    Args:
        model: The model, changed in place.
        other: The model with the new modules, not used afterwards.
    """
    for name, child in other.named_children():
        setattr(model, name, child)
    exits = exits_of(model)
    if exits is not None:
        exits.serve(model)
