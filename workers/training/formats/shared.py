"""Layers that share their weights: their parameters count once, their operations each time."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from workers.training.formats.base import Format, Note, require_format
from workers.training.model.recording import encoder_layers


def share_layers(model: PreTrainedModel, groups: Sequence[int]) -> None:
    """Replace the layers of a group by the group's first layer, in place.

    Args:
        model: The model, changed in place.
        groups: Group of each layer.

    Raises:
        ValueError: The number of groups is not that of the layers.

    Source: Lan et al. 2020, ALBERT, section 3.1, arXiv:1909.11942.
    """
    layers = encoder_layers(model)
    if len(groups) != len(layers):
        raise ValueError(f"{len(groups)} groups for {len(layers)} layers")
    first: dict[int, int] = {}
    for number, group in enumerate(groups):
        layers[number] = layers[first.setdefault(group, number)]


class Shared(Format):
    """A model in which some layers of the encoder are one module."""

    name = "shared"
    note_file = "shared_layers.json"
    order = 10

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: for each layer the number of the first layer of its group."""
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
