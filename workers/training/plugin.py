"""How a technique takes part in training: what it needs, and the hooks that ``fit`` calls.

A method is a set of these, so a new one is a class and no change to the loop.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from workers.training.forward_pass import ForwardPass
from workers.training.model.recording import NOTHING, Needs
from workers.training.teacher import Teacher


@dataclass
class Step:
    """Where training is. ``done`` of ``total`` steps of the horizon are over."""

    done: int
    total: int
    epoch: float
    optimizer: torch.optim.Optimizer | None = None
    stop_reason: str | None = field(default=None, init=False)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group."""
        if self.optimizer is None:
            raise ValueError("there is no optimizer before the first step")
        return float(self.optimizer.param_groups[0]["lr"])

    def stop(self, reason: str) -> None:
        """End training after this step; every rank must ask at the same step."""
        self.stop_reason = reason


@dataclass(frozen=True)
class BatchPlace:
    """Where in training a batch is: the same again after a resumption, on each rank its own.

    Attributes:
        step: Optimizer steps that are over.
        part: Number of the batch within its step, from 0; above 0 with gradient accumulation.
        rank: The process that computes it.
        seed: Of the stage.
    """

    step: int
    part: int
    rank: int
    seed: int

    def generator(self, purpose: str) -> torch.Generator:
        """Random numbers for this batch alone, on the CPU.

        They depend on nothing but the place and ``purpose`` (the method's name), so that drawing
        from them needs no state and changes nobody else's random numbers.
        """
        place = f"{purpose}/{self.seed}/{self.step}/{self.part}/{self.rank}"
        number = int.from_bytes(hashlib.sha256(place.encode()).digest()[:8], "big") >> 1
        return torch.Generator().manual_seed(number)


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with a learning rate or weight decay of their own.

    They may belong to the model or to the plug-in; gradients of the plug-in's own are averaged
    over the ranks and clipped with the model's. ``schedule`` maps (steps done, total) to the
    factor of the learning rate, instead of the stage's schedule.
    """

    parameters: Sequence[nn.Parameter]
    learning_rate: float | None = None  # None: the stage's
    weight_decay: float | None = None  # None: the stage's
    schedule: Callable[[int, int], float] | None = None


class Plugin:
    """A technique's part in training. Every hook does nothing unless it is overridden.

    Attributes:
        needs: What the model must record in its forward pass, and how it computes attention.
        unused_parameters: Whether some parameters of the model get no gradient in some steps
            (skipped layers, grafted modules); training on several ranks must know.
    """

    needs: Needs = NOTHING
    unused_parameters: ClassVar[bool] = False

    def attach(self, model: nn.Module) -> None:
        """Before the optimizer is made: add modules, hooks or parameters, freeze others."""

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """Parameters that are trained in a way of their own, or are the plug-in's."""
        return ()

    def before_step(self, step: Step) -> None:
        """Before the forward pass of an optimizer step."""

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        """The batch to compute instead of this one; called for each, before its forward pass.

        The batch has the model's inputs, ``labels`` and ``index``, on the device; each plug-in
        gets what the one before returned, and losses and teachers see the last. Rows and tokens
        may become more or fewer, and tensors for the plug-in's own loss term may be added. A
        teacher's cache is not used with such a plug-in. Evaluation in mid-training sees the
        data as they are.
        """
        return batch

    def after_backward(self, step: Step) -> None:
        """Gradients of the whole step are there, averaged over the ranks and not yet clipped."""

    def after_step(self, step: Step) -> None:
        """The optimizer has changed the weights; ``step.done`` counts this step."""

    def on_epoch(self, step: Step) -> None:
        """An epoch begins."""

    def on_evaluate(self, step: Step, metrics: Mapping[str, float | None]) -> None:
        """The model was evaluated in the middle of training."""

    def detach(self, model: nn.Module) -> None:
        """After training: leave a model that one of the formats can save."""

    def density(self) -> float | None:
        """Share of the encoder's weights that are not zero now; None if it is not its concern."""
        return None

    def extra_flops(self, rows: int, width: int) -> float:
        """Operations of the last batch ``[rows, width]`` beyond forward and backward of the model.

        Negative where the batch saved some, as with skipped layers. A teacher counts itself.
        """
        return 0.0

    def state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint must keep beside the model's weights; the same on every rank."""
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what ``state`` returned; called after ``attach``."""


class LossTerm(Plugin, ABC):
    """A term of the loss: weight x value. It is a plug-in too.

    Attributes:
        name: In the metric ``loss_NAME``; one word.
        weight: Factor of the term.
        teacher: Asked by this term, if any; it records what the term needs as well.
    """

    name: str = "term"
    weight: float = 1.0
    teacher: Teacher | None = None

    @abstractmethod
    def value(self, forward: ForwardPass) -> torch.Tensor:
        """The unweighted term, a mean over the batch (scalar)."""
