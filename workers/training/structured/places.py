"""Where gates of heads and of neurons are: the inputs of two matrices of each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from workers.training.formats.sliced import head_size
from workers.training.model.recording import encoder_layers

PARTS = ("heads", "neurons")


@dataclass(frozen=True)
class Place:
    """One layer's gates of one part.

    Attributes:
        part: ``heads`` or ``neurons``.
        module: The linear module whose input the gates multiply.
        units: Number of gates.
        width: Number of columns of a unit.
    """

    part: str
    module: Any
    units: int
    width: int


def places(model: PreTrainedModel) -> list[Place]:
    """The gates' places of a BERT-shaped model: heads, then neurons, layer after layer."""
    size = head_size(model)
    every_place = []
    for layer in encoder_layers(model):
        for part, name, width in (
            ("heads", "attention.output.dense", size),
            ("neurons", "output.dense", 1),
        ):
            module: Any = layer.get_submodule(name)
            every_place.append(Place(part, module, int(module.in_features) // width, width))
    return every_place
