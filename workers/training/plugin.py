"""Plug-ins of the training loop: the needs of a technique, and the hooks that ``fit`` calls.

A method is a set of plug-ins, so a new one needs a class but no change of the loop.
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
    """A position in training: ``done`` of ``total`` steps of the horizon are finished."""

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
        """End training after this step; every rank must call this at the same step."""
        self.stop_reason = reason


@dataclass(frozen=True)
class BatchPlace:
    """The position of a batch in training: the same after a resumption, different on each rank.

    Attributes:
        step: Number of finished optimizer steps.
        part: Number of the batch within its step, from 0; above 0 with gradient accumulation.
        rank: Number of the process that computes it.
        seed: Seed of the stage.
    """

    step: int
    part: int
    rank: int
    seed: int

    def generator(self, purpose: str) -> torch.Generator:
        """A generator of random numbers for this batch alone, on the CPU.

        It depends only on the position and ``purpose`` (the method's name), so that it needs no
        state and changes no other random numbers.
        """
        place = f"{purpose}/{self.seed}/{self.step}/{self.part}/{self.rank}"
        number = int.from_bytes(hashlib.sha256(place.encode()).digest()[:8], "big") >> 1
        return torch.Generator().manual_seed(number)


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with their own learning rate or weight decay.

    They belong to the model or to the plug-in; gradients of a plug-in's parameters are averaged
    over the ranks and clipped with the model's. ``schedule`` maps (steps done, total) to the
    factor of the learning rate and replaces the stage's schedule.
    """

    parameters: Sequence[nn.Parameter]
    learning_rate: float | None = None  # None: the stage's
    weight_decay: float | None = None  # None: the stage's
    schedule: Callable[[int, int], float] | None = None


class Plugin:
    """A technique's part in training. A hook that is not overridden does nothing.

    Attributes:
        needs: Recordings of the model's forward pass, and its kind of attention.
        unused_parameters: Whether some parameters of the model get no gradient in some steps
            (skipped layers, grafted modules), which matters for training on several ranks.
        uncounted: Work of the plug-in whose operations are not counted, by name.
    """

    needs: Needs = NOTHING
    unused_parameters: ClassVar[bool] = False
    uncounted: ClassVar[tuple[str, ...]] = ()

    def attach(self, model: nn.Module) -> None:
        """Change the model before the optimizer is made: add modules, freeze parameters."""

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """Parameters with their own settings, and parameters of the plug-in."""
        return ()

    def before_step(self, step: Step) -> None:
        """Called before the forward pass of an optimizer step."""

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        """The batch to compute instead; called for each batch before its forward pass.

        The batch has the model's inputs, ``labels`` and ``index``, on the device. Each plug-in
        gets the batch that the previous one returned; losses and teachers get the last one. The
        numbers of rows and tokens may change, and tensors for the plug-in's own loss term may be
        added. A teacher's cache is not used with such a plug-in. Evaluation during training uses
        the unchanged data.
        """
        return batch

    def after_backward(self, step: Step) -> None:
        """Called with the gradients of a step, averaged over the ranks and not yet clipped."""

    def after_step(self, step: Step) -> None:
        """Called after the optimizer has changed the weights; ``step.done`` includes this step."""

    def on_epoch(self, step: Step) -> None:
        """Called at the beginning of an epoch."""

    def on_evaluate(self, step: Step, metrics: Mapping[str, float | None]) -> None:
        """Called after an evaluation during training."""

    def settled(self, step: Step) -> bool:
        """Whether the weights after this step may be the result of the training.

        A technique that is not yet finished, such as pruning along a ramp, returns False: an
        evaluation during training is then reported, but neither kept as the best nor counted.
        """
        return True

    def detach(self, model: nn.Module) -> None:
        """Finish after training, with a model that one of the formats can save."""

    def density(self) -> float | None:
        """Share of the encoder's weights that are not zero; None if the plug-in leaves it alone."""
        return None

    def extra_flops(self, rows: int, width: int) -> float:
        """Operations of the last batch ``[rows, width]`` beyond forward and backward of the model.

        Negative where the batch saved operations, as with skipped layers. A teacher counts its own.
        """
        return 0.0

    def extra_effective_flops(self, rows: int, width: int, density: float) -> float:
        """``extra_flops`` without those on the zeros of the model's encoder.

        ``density`` is the share of its weights that are not zero. By default all are counted.
        """
        return self.extra_flops(rows, width)

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors for the checkpoint beside the model's weights; the same on every rank."""
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what ``state`` returned; called after ``attach``."""


def overriding(plugins: Sequence[Plugin], hook: str) -> list[Plugin]:
    """The plug-ins that override a hook; others are not called in every step."""
    default = getattr(Plugin, hook)
    return [plugin for plugin in plugins if getattr(type(plugin), hook) is not default]


class LossTerm(Plugin, ABC):
    """A term of the loss: weight x value. It is also a plug-in.

    Attributes:
        name: Name in the metric ``loss_NAME``; one word.
        weight: Factor of the term.
        teacher: Teacher that the term uses, if any; it records what the term needs as well.
        reads_logits: Whether the term reads logits, the model's or the teacher's. If no term
            does, pooler and head are frozen, and heads are not computed.
    """

    name: str = "term"
    weight: float = 1.0
    teacher: Teacher | None = None
    reads_logits: ClassVar[bool] = True

    @abstractmethod
    def value(self, forward: ForwardPass) -> torch.Tensor:
        """The unweighted term, a mean over the batch (scalar)."""
