"""What happens between the steps: progress, checkpoints by the clock, stops, a broken loss."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from workers.job.reporter import Reporter
from workers.job.request import JobError
from workers.training.data.tokens import EpochSampler
from workers.training.plugins import Plugin

REPORT_EVERY_S = 0.5
CURVE_POINTS = 100


class EpochOrder(TrainerCallback):
    """Gives each epoch its own order of examples, the same one after a resumption."""

    def __init__(self, sampler: EpochSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        self.sampler.set_epoch(math.floor((state.epoch or 0.0) + 1e-6))


class PluginSteps(TrainerCallback):
    """Passes the steps on to the plug-ins."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins = plugins

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        for plugin in self.plugins:
            plugin.before_step(state.global_step, state.max_steps)

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        for plugin in self.plugins:
            plugin.after_step(state.global_step + 1, state.max_steps)


class LossWatch:
    """The mean loss since the last look, without waiting for the device at each step."""

    def __init__(self) -> None:
        self._sum: torch.Tensor | None = None
        self._count = 0

    def add(self, loss: torch.Tensor) -> None:
        """Take in the loss of one batch."""
        loss = loss.detach().float()
        self._sum = loss if self._sum is None else self._sum + loss
        self._count += 1

    def look(self) -> float | None:
        """The mean since the last look; None if nothing came in.

        Raises:
            JobError: ``loss-not-finite``.
        """
        if self._sum is None:
            return None
        mean = float(self._sum) / self._count
        self._sum, self._count = None, 0
        if not math.isfinite(mean):
            raise JobError(
                "loss-not-finite",
                f"the loss became {mean}; a smaller learning_rate, warm-up or fp32 would do",
            )
        return mean


class Watch(TrainerCallback):
    """Reports progress, checkpoints when it is time, and stops when it is asked for."""

    def __init__(
        self, reporter: Reporter, losses: LossWatch, *, checkpoint_after_s: float, every_s: float
    ) -> None:
        self.reporter = reporter
        self.losses = losses
        self.stop_reason: str | None = None
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
        done, total = state.global_step, state.max_steps
        now = time.monotonic()
        if now >= self._next_report or done == total:
            self._next_report = now + REPORT_EVERY_S
            self._report(done, total)
        if done == total:
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

    def _report(self, done: int, total: int) -> None:
        loss = self.losses.look()
        text = None if loss is None else f"loss {loss:.4f}"
        self.reporter.progress(done, total, "steps", text)
        if done == total or done - self._curve_step >= max(1, total // CURVE_POINTS):
            self._curve_step = done
            self.reporter.metric("loss", loss, split="train", step=done)


def _agreed(stop: bool, save: bool, args: TrainingArguments) -> tuple[bool, bool]:
    """Rank 0's decision, on every rank: all must leave, or save, at the same step."""
    if args.world_size <= 1:
        return stop, save
    flags = torch.tensor([stop, save], dtype=torch.int32, device=args.device)
    torch.distributed.broadcast(flags, src=0)
    return bool(flags[0]), bool(flags[1])
