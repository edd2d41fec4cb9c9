"""Formats of models: how each is recognized, described and rebuilt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from transformers import PreTrainedModel

if TYPE_CHECKING:
    from workers.training.cost.flops import FlopProfile

Note = dict[str, Any]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a model as stored.

    Attributes:
        tensor: Its values.
        is_weight: Whether they are parameters; scales of 8-bit weights are not.
        is_matrix: Whether it is the matrix of a linear layer.
        bits: Bits that each value takes on disk; None: those of its type.
    """

    tensor: torch.Tensor
    is_weight: bool = True
    is_matrix: bool = False
    bits: int | None = None

    @property
    def bits_per_value(self) -> int:
        """Bits that each value takes on disk."""
        return self.tensor.element_size() * 8 if self.bits is None else self.bits


class Format(ABC):
    """One way in which a model's modules differ from its configuration.

    A model may have several formats at once, such as sliced and 8-bit. Each writes a note
    beside the weights; from configuration and notes the modules are rebuilt, in ``order``, and
    the tensors are then loaded by name.

    Attributes:
        name: Name in messages and on the card.
        note_file: File of the note; where it exists, a saved model has the format.
        order: Order of rebuilding, from shared layers to integer weights.
        trainable: Whether such a model can be trained further.
        in_encoder: Whether it changes the encoder alone, so that such a model can get another head.
        same_operations: Whether it computes as many operations as the model it was made from.
        only_on_cpu: Whether it computes on the CPU even if the job has a GPU.
        low_bit: Whether it multiplies by its weights in 8 bits or fewer.
        rounds_to_zero: Whether rounding sets many weights to zero, so that a pruned model cannot be
            recognized by its zeros.
        only_in_use: Fields of the note that change the model's use, not the modules.
    """

    name: ClassVar[str]
    note_file: ClassVar[str]
    order: ClassVar[int]
    trainable: ClassVar[bool] = True
    in_encoder: ClassVar[bool] = False
    same_operations: ClassVar[bool] = False
    only_on_cpu: ClassVar[bool] = False
    low_bit: ClassVar[bool] = False
    rounds_to_zero: ClassVar[bool] = False
    only_in_use: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def describe(self, model: PreTrainedModel) -> Note | None:
        """The note from which the modules can be rebuilt; None for a model without the format."""

    @abstractmethod
    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """Give a model fresh from its configuration the noted modules, without their weights.

        Raises:
            ValueError: The note has another version, or does not fit the model.
        """

    def stored_tensors(self, module: nn.Module) -> Sequence[StoredTensor]:
        """The tensors of a module that stores its weights in a way of the format's own.

        None for other modules, whose tensors are their parameters.
        """
        return ()

    def chunked_flops(self, model: PreTrainedModel, layers: int | None = None) -> tuple[int, int]:
        """Tokens of a chunk, and forward operations of the model for each chunk of a text.

        With ``layers``, only of the first ones.
        """
        return 1, 0

    def further_flops(
        self,
        model: PreTrainedModel,
        note: Note,
        profile: FlopProfile,
        width: int,
        density: float = 1.0,
    ) -> float:
        """Operations of training on one text, beyond three times those of its forward pass.

        Negative where it needs fewer.

        Args:
            model: The model.
            note: Its note.
            profile: Operations of the model's forward pass.
            width: Number of tokens.
            density: Share of the encoder's weights that are not zero.
        """
        return 0.0

    def speed_note(self, note: Note, device: str) -> str | None:
        """Reason why such a model is not faster on a device than a plain one; None if it may be.

        Args:
            note: The model's note.
            device: ``cpu`` or ``cuda``.
        """
        return None


def require_format(note: Note, version: int, file: str) -> None:
    """Check a note's version.

    Raises:
        ValueError: It is another version.
    """
    if note.get("format") != version:
        raise ValueError(f"{file} has an unknown format")
