"""Measures the steps of the training loop, each beside a bare step on the same batch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from transformers import TrainerCallback

from benchmarks.steps.bare import Bare, Batch
from workers.training import fit as loop
from workers.training.tasks.registry import task_of
from workers.training.trainer import Participants, PluginTrainer


@dataclass
class Fit:
    """One training: processor seconds of its steps, and of the bare steps beside them.

    ``definition_s`` are those of what the method's definition adds to the bare passes.
    """

    terms: list[str]
    own_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    definition_s: list[float] = field(default_factory=list)


class Interleaved(TrainerCallback):
    """After each step of the loop, a bare step on its batch.

    A step of the loop is everything from the end of the bare step to its own end: the batch, the
    plug-ins, forward, backward, optimizer, callbacks.

    Args:
        bare: The bare step.
        fit: Where the seconds go.
        warm_up: Steps that are not measured.
    """

    def __init__(self, bare: Bare, fit: Fit, warm_up: int) -> None:
        self._bare, self._fit, self._warm_up = bare, fit, warm_up
        self._batches: list[Batch] = []
        self._steps = 0
        self._began_s = time.process_time()

    def note(self, batch: Batch) -> None:
        """Note a batch of the present step."""
        self._batches.append(batch)

    def on_step_end(self, *of_the_trainer: Any, **options: Any) -> None:
        """See the class."""
        own_s = time.process_time() - self._began_s
        began_s = time.process_time()
        for batch in self._batches:
            self._bare.step(batch)
        bare_s = time.process_time() - began_s
        began_s = time.process_time()
        for batch in self._batches:
            self._bare.define(batch)
        definition_s = time.process_time() - began_s
        self._steps += 1
        if self._steps > self._warm_up:
            self._fit.own_s.append(own_s)
            self._fit.bare_s.append(bare_s)
            self._fit.definition_s.append(definition_s)
        self._batches = []
        self._began_s = time.process_time()


@contextmanager
def watching(warm_up: int) -> Iterator[list[Fit]]:
    """Measure every training inside; yields the list that they are added to."""
    fits: list[Fit] = []
    attach, assemble, compute = loop._attach, loop._assemble, PluginTrainer.compute_loss
    copies: list[Bare] = []
    callbacks: list[Interleaved] = []

    def attached(stack: Any, parts: Participants, loaded: Any, examples: int) -> Any:
        copies.append(Bare(loaded.model, parts))
        return attach(stack, parts, loaded, examples)

    def assembled(context: Any, loaded: Any, data: Any, options: Any, *others: Any) -> Any:
        watch, steps, trainer = assemble(context, loaded, data, options, *others)
        _, parts, number_format, *_ = others
        bare = copies.pop()
        bare.begin(loaded.model, task_of(context).loss(), number_format, options)
        fits.append(Fit([term.name for term in parts.losses]))
        callbacks.append(Interleaved(bare, fits[-1], warm_up))
        trainer.add_callback(callbacks[-1])
        return watch, steps, trainer

    def computed(trainer: Any, model: Any, inputs: Any, *others: Any, **options: Any) -> Any:
        loss = compute(trainer, model, inputs, *others, **options)
        callbacks[-1].note(inputs)
        return loss

    with (
        patch.object(loop, "_attach", attached),
        patch.object(loop, "_assemble", assembled),
        patch.object(PluginTrainer, "compute_loss", computed),
    ):
        yield fits
