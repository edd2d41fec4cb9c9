"""Callbacks between steps: progress, timed checkpoints, stops, a loss that is not finite."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from workers.job.reporter import Reporter
from workers.job.request import JobError
from workers.training.evaluation import Evaluation
from workers.training.plugin import Plugin, Step, overriding

REPORT_EVERY_S = 0.5
CURVE_POINTS = 100


class EpochOrder(TrainerCallback):
    """Sets each epoch's own order of examples and masks, the same after a resumption.

    Args:
        parts: Sampler and collator; their method ``set_epoch``, if any, gets the epoch's number.
    """

    def __init__(self, *parts: object) -> None:
        self._set_epoch = [part.set_epoch for part in parts if hasattr(part, "set_epoch")]

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        for set_epoch in self._set_epoch:
            set_epoch(math.floor((state.epoch or 0.0) + 1e-6))


class PluginSteps(TrainerCallback):
    """Passes epochs and steps on to the plug-ins."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins = plugins
        self.stop_reason: str | None = None
        hooks = ("on_epoch", "before_step", "after_step")
        self._overriding = {hook: overriding(plugins, hook) for hook in hooks}

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._pass_on("on_epoch", state, control, kwargs)

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._pass_on("before_step", state, control, kwargs)

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._pass_on("after_step", state, control, kwargs, over=1)

    def _pass_on(
        self,
        hook: str,
        state: TrainerState,
        control: TrainerControl,
        kwargs: dict[str, Any],
        over: int = 0,
    ) -> None:
        plugins = self._overriding[hook]
        if plugins:
            step = step_of(state, kwargs.get("optimizer"), over)
            for plugin in plugins:
                getattr(plugin, hook)(step)
            self.end_if_asked(step, control)

    def end_if_asked(self, step: Step, control: TrainerControl) -> None:
        """End training if a plug-in requests it."""
        if step.stop_reason is not None:
            self.stop_reason = step.stop_reason
            control.should_training_stop = True


def step_of(state: TrainerState, optimizer: Any, over: int = 0) -> Step:
    """The position in training, ``over`` steps after the Trainer's own count."""
    return Step(state.global_step + over, state.max_steps, state.epoch or 0.0, optimizer)


class MidEvaluation(TrainerCallback):
    """Evaluates when an evaluation is due, and passes the metrics to the plug-ins."""

    def __init__(self, evaluation: Evaluation, steps: PluginSteps) -> None:
        self.evaluation = evaluation
        self.steps = steps

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        step = step_of(state, kwargs.get("optimizer"))
        settled = all(plugin.settled(step) for plugin in self.steps.plugins)
        metrics = self.evaluation.evaluate_if_due(step, settled=settled)
        if metrics is not None:
            for plugin in self.steps.plugins:
                plugin.on_evaluate(step, metrics)
            self.steps.end_if_asked(step, control)


class LossWatch:
    """The mean loss since the last report, without waiting for the device at each step.

    Args:
        names: Names of the terms. With two or more, their unweighted means are kept as well.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = list(names)
        self._sum: torch.Tensor | None = None
        self._terms: torch.Tensor | None = None
        self._count = 0

    def add(self, loss: torch.Tensor, terms: Sequence[torch.Tensor] = ()) -> None:
        """Add the loss of one batch, and its terms."""
        loss = loss.detach().float()
        self._sum = loss if self._sum is None else self._sum + loss
        if len(terms) > 1:
            values = torch.stack([term.detach().float() for term in terms])
            self._terms = values if self._terms is None else self._terms + values
        self._count += 1

    def means(self) -> tuple[float, dict[str, float]] | None:
        """The means of the loss and its terms since the last report; None without a batch.

        Raises:
            JobError: ``loss-not-finite``.
        """
        if self._sum is None:
            return None
        mean = float(self._sum) / self._count
        terms: dict[str, float] = {}
        if self._terms is not None:
            means = (self._terms / self._count).tolist()
            terms = dict(zip(self._names, means, strict=True))
        self._sum, self._terms, self._count = None, None, 0
        if not math.isfinite(mean):
            raise JobError(
                "loss-not-finite",
                f"the loss became {mean}; try a smaller learning_rate, warm-up or fp32",
            )
        return mean, terms


class Watch(TrainerCallback):
    """Reports progress, writes checkpoints when they are due, and stops on request.

    Args:
        reporter: The stage's reporter.
        losses: The loss of the training.
        checkpoint_after_s: Seconds before the first checkpoint.
        every_s: Seconds between checkpoints.
        stop_at: Step before the horizon at which training ends with a checkpoint.
    """

    def __init__(
        self,
        reporter: Reporter,
        losses: LossWatch,
        *,
        checkpoint_after_s: float,
        every_s: float,
        stop_at: int | None = None,
    ) -> None:
        self.reporter = reporter
        self.losses = losses
        self.stop_reason: str | None = None
        self._stop_at = stop_at
        self._every_s = every_s
        self._next_report = 0.0
        self._next_checkpoint = time.monotonic() + checkpoint_after_s
        self._curve_step = 0

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        done, total = state.global_step, self._stop_at or state.max_steps
        now = time.monotonic()
        if done == self._stop_at:
            control.should_training_stop = control.should_save = True
        last = done == state.max_steps or control.should_training_stop
        if now >= self._next_report or last:
            self._next_report = now + REPORT_EVERY_S
            self._report(done, total, last)
        if last:
            return
        reason = self.reporter.stop_requested()
        stop, save = _agreed(reason is not None, now >= self._next_checkpoint, args)
        if stop:
            self.stop_reason = reason or "stop"
            control.should_training_stop = True
        if stop or save:
            control.should_save = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self._next_checkpoint = time.monotonic() + self._every_s

    def _report(self, done: int, total: int, last: bool) -> None:
        means = self.losses.means()
        text = None if means is None else f"loss {means[0]:.4f}"
        self.reporter.progress(done, total, "steps", text)
        if last or done - self._curve_step >= max(1, total // CURVE_POINTS):
            self._curve_step = done
            loss, terms = (None, {}) if means is None else means
            self.reporter.metric("loss", loss, split="train", step=done)
            for name, value in terms.items():
                self.reporter.metric(f"loss_{name}", value, split="train", step=done)


def _agreed(stop: bool, save: bool, args: TrainingArguments) -> tuple[bool, bool]:
    """Rank 0's decision, on every rank: all must stop, or save, at the same step."""
    if args.world_size <= 1:
        return stop, save
    flags = torch.tensor([stop, save], dtype=torch.int32, device=args.device)
    torch.distributed.broadcast(flags, src=0)
    return bool(flags[0]), bool(flags[1])
