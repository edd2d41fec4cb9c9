"""Layers that share their weights: counted once as parameters, each time as operations."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from workers.training.formats.base import Format, Note, require_format
from workers.training.model.recording import encoder_layers


def share_layers(model: PreTrainedModel, groups: Sequence[int]) -> None:
    """Let layers of the same group be one module, the group's first layer, in place.

    Args:
        model: Changed.
        groups: The group of each layer.

    Raises:
        ValueError: not a group for each layer.

    Source: Lan et al. 2020, ALBERT, section 3.1, arXiv:1909.11942.
    """
    layers = encoder_layers(model)
    if len(groups) != len(layers):
        raise ValueError(f"{len(groups)} groups for {len(layers)} layers")
    first: dict[int, int] = {}
    for number, group in enumerate(groups):
        layers[number] = layers[first.setdefault(group, number)]


class Shared(Format):
    """Some layers of the encoder are one module."""

    name = "shared"
    note_file = "shared_layers.json"
    order = 10

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: for each layer the number of the first it is the same as."""
        try:
            layers = list(encoder_layers(model))
        except ValueError:
            return None
        first: dict[int, int] = {}
        groups = [first.setdefault(id(layer), number) for number, layer in enumerate(layers)]
        if groups == list(range(len(layers))):
            return None
        return {"format": 1, "groups": groups}

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        share_layers(model, note["groups"])


FORMAT = Shared()
