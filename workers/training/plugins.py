"""How a technique takes part in training: hooks that the one loop calls.

A method is a set of these, so a new one is a class and no change to the loop. Each kind
says which hooks are its business; all others do nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class LossInputs:
    """What a loss term may look at. ``logits`` are fp32, ``[batch, classes]``."""

    model: nn.Module
    outputs: Any
    logits: torch.Tensor
    labels: torch.Tensor
    index: torch.Tensor  # [batch], numbers of the examples in the training split
    inputs: dict[str, torch.Tensor]


class Plugin:
    """A technique's part in training; every hook does nothing unless it is overridden."""

    def attach(self, model: nn.Module) -> None:
        """Before the optimizer is made: add modules, hooks or parameters."""

    def before_step(self, done: int, total: int) -> None:
        """Before the forward pass of optimizer step ``done`` of ``total``."""

    def after_step(self, done: int, total: int) -> None:
        """After the optimizer has changed the weights."""

    def detach(self, model: nn.Module) -> None:
        """After training: leave a plain model that can be saved and loaded."""

    def state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint must keep beside the model's own weights."""
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what ``state`` gave."""


class LossTerm(Plugin, ABC):
    """A term of the loss, weighted. With any term given, the task's own is not added."""

    weight: float = 1.0

    @abstractmethod
    def value(self, inputs: LossInputs) -> torch.Tensor:
        """The unweighted term, a mean over the batch (scalar)."""

    def forward_flops(self, batch_size: int, length: int) -> float:
        """Operations of forward passes through other models that this batch needed."""
        return 0.0


class Masker(Plugin):
    """Keeps chosen weights at zero (score x scope x schedule), in ``after_step``."""


class Gates(Plugin):
    """Trainable factors on heads or neurons: modules in ``attach``, gone in ``detach``."""


class Grafter(Plugin):
    """Exchanges modules between predecessor and successor, in ``before_step``."""


class FakeQuant(Plugin):
    """Rounds weights and activations while training; ``attach`` and ``detach``."""


class StudentBuilder(ABC):
    """Makes the model that is trained from one that is already there."""

    @abstractmethod
    def build(self, teacher: nn.Module) -> nn.Module:
        """A new model; the teacher stays as it is."""


class Exporter(ABC):
    """Writes a model in a form of its own."""

    @abstractmethod
    def export(self, model: nn.Module, folder: Path) -> None:
        """Write weights, configuration and whatever rebuilding the model takes."""
