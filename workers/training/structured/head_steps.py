"""Heads leave a model in steps, each cut out of its matrices, with recovery and a floor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from pricetag.recipes.methods.prune_heads import PruneHeads, removed_after
from workers.job.context import StageContext
from workers.job.reporter import SilentReporter
from workers.job.request import JobError
from workers.training import sparsity
from workers.training.cost.tally import Tally
from workers.training.decisions import decided
from workers.training.evaluate import evaluate
from workers.training.finetune import full_profile, new_tally, training_data
from workers.training.fit import Horizon, Outcome, fit, report_training
from workers.training.formats.modules import take_modules
from workers.training.metrics import LOWER_IS_BETTER
from workers.training.model.loaded import Loaded
from workers.training.rounds import Result, Round, run_rounds
from workers.training.structured.batch_losses import Loss, batch_losses
from workers.training.structured.checks import require_units
from workers.training.structured.units import Numbers, Units, cut


@dataclass(frozen=True)
class Choice:
    """How heads are chosen.

    Attributes:
        importance: From losses of batches, importances of each layer's heads.
        remove: From heads, their importances and a number, the heads that remain.
    """

    importance: Callable[[Iterator[Loss]], list[torch.Tensor]]
    remove: Callable[[Numbers, Sequence[Sequence[float]], int], Numbers]


def remove_in_steps(
    context: StageContext, loaded: Loaded, params: PruneHeads, choice: Choice
) -> dict[str, Any]:
    """Remove heads from a model in place; returns facts for its card.

    Raises:
        JobError: ``wrong-share-of-heads``, or the training cannot be done.
        Interrupted: A stop was requested; the next attempt resumes in the same step.
    """
    units = require_units(context, loaded)
    first = units.heads
    total = sum(map(len, first))
    _require_share(context, params, first)
    steps = _Steps(context, loaded, params, choice, units)
    results = run_rounds(
        context,
        loaded.model,
        params.steps,
        steps.carry_out,
        enough=lambda done: bool(done[-1]["undone"]),
        change_again=steps.cut_again,
    )
    steps.tally.report()
    trained = [Outcome(**result["outcome"]) for result in results if result["outcome"] is not None]
    if trained:
        report_training(context, trained)
    alive: Numbers = results[-1]["alive"]
    left = sum(map(len, alive))
    context.reporter.metric("heads_left", left)
    context.reporter.log(f"{total - left} of {total} heads removed")
    return {"heads_before": total, "heads_left": left, "heads_by_layer": alive}


def _require_share(context: StageContext, params: PruneHeads, heads: Numbers) -> None:
    total = sum(map(len, heads))
    removed = removed_after(params.share, total, params.steps, params.steps)
    if not 1 <= removed <= total - len(heads):
        raise JobError(
            "wrong-share-of-heads",
            f"{params.share} of {total} heads are {removed}; at least one must be removed and one "
            f"per layer must remain: use {1 / total:.4f} to {(total - len(heads)) / total:.4f}",
            f"{context.field}.share",
        )


class _Steps:
    """The steps of one stage on one model."""

    def __init__(
        self,
        context: StageContext,
        loaded: Loaded,
        params: PruneHeads,
        choice: Choice,
        units: Units,
    ) -> None:
        self.context, self.loaded, self.params = context, loaded, params
        self.choice, self.heads, self.alive = choice, units.heads, units.heads
        self._neurons = units.neurons
        self.tally: Tally = new_tally(context, loaded)

    def carry_out(self, round_: Round) -> Result:
        """Remove a step's heads and let the model recover; undone if the score falls too low."""
        params, before = self.params, self.alive
        first = None if params.floor is None else self._first_score()
        alive = decided(
            self.context, f"heads-{round_.number}", lambda: self._remaining(round_.number)
        )
        model_before = None if first is None else copy.deepcopy(self.loaded.model)
        self._cut(alive)
        outcome = self._recover(round_) if params.recovery_epochs else None
        undone = first is not None and self._is_too_low(round_, first)
        if undone and model_before is not None:
            take_modules(self.loaded.model, model_before)
            self.alive = before
            self.context.reporter.log(f"step {round_.number + 1}: undone, below the floor")
        return {
            "alive": self.alive,
            "undone": undone,
            "outcome": None if outcome is None else outcome.as_json(),
        }

    def cut_again(self, result: Result) -> None:
        """Cut the heads that a finished step of an earlier attempt removed."""
        self._cut(result["alive"])

    def _cut(self, alive: Numbers) -> None:
        before, after = Units(self.alive, self._neurons), Units(alive, self._neurons)
        cut(self.loaded.model, before, after)
        self.alive = alive

    def _recover(self, round_: Round) -> Outcome:
        zeros = sparsity.decide(self.context, self.loaded, None)
        return fit(
            self.context,
            self.loaded,
            training_data(self.context, self.loaded, self.params.max_length),
            self.params,
            horizon=Horizon(self.params.recovery_epochs),
            plugins=zeros.plugins,
            folder=round_.folder,
            tally=self.tally,
        )

    def _remaining(self, number: int) -> Numbers:
        total = sum(map(len, self.heads))
        share, steps = self.params.share, self.params.steps
        left = total - removed_after(share, total, number + 1, steps)
        if self.params.rescore:
            importance = self._importance()
        else:
            of_all = decided(self.context, "importance", self._importance)
            importance = [
                [values[heads.index(head)] for head in alive]
                for heads, values, alive in zip(self.heads, of_all, self.alive, strict=True)
            ]
        return self.choice.remove(self.alive, importance, sum(map(len, self.alive)) - left)

    def _importance(self) -> list[list[float]]:
        losses = batch_losses(self.context, self.loaded, self.params, self.tally)
        importance = self.choice.importance(losses)
        return [layer.tolist() for layer in importance]

    def _first_score(self) -> dict[str, Any]:
        first: dict[str, Any] = decided(self.context, "score", self._score)
        if first["value"] is None:
            raise JobError(
                "no-score",
                f"{first['name']} is not defined: {first['reason']}",
                f"{self.context.field}.floor",
            )
        return first

    def _score(self) -> dict[str, Any]:
        """The main metric on the validation split, and its operations."""
        silent = replace(self.context, reporter=SilentReporter())
        metrics, predictions = evaluate(
            silent, self.loaded, "validation", batch_size=64, max_length=self.params.max_length
        )
        counted = full_profile(self.context, self.loaded)
        self.tally.add(
            predictions.forward_flops(counted.flops, exits=counted.exits),
            predictions.forward_flops(counted.flops, counted.density, counted.exits),
        )
        name, score = next(iter(metrics.items()))
        return {"name": name, "value": score.value, "reason": score.reason}

    def _is_too_low(self, round_: Round, first: dict[str, Any]) -> bool:
        now = decided(self.context, f"score-{round_.number}", self._score)
        floor, name = self.params.floor, first["name"]
        assert floor is not None
        if now["value"] is None:
            self.context.reporter.log(
                f"step {round_.number + 1}: {name} is not defined: {now['reason']}"
            )
            return True
        self.context.reporter.log(
            f"step {round_.number + 1}: {name} {now['value']:.4f}, at first {first['value']:.4f}"
        )
        if name in LOWER_IS_BETTER:
            return bool(now["value"] > first["value"] / floor)
        return bool(now["value"] < first["value"] * floor)
