"""Evaluation during training: the curve, the best weights, and an early end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from pricetag.recipes.base import MAX_NAME_CHARS
from pricetag.recipes.training import MidEvaluation, Optimisation
from workers.job import ranks
from workers.job.context import StageContext
from workers.job.reporter import SilentReporter
from workers.training.checkpoints import save_tensors, trainable_state
from workers.training.cost.tally import Tally
from workers.training.evaluate import evaluate
from workers.training.finetune import exit_profiles, model_profile
from workers.training.formats.profile import profile
from workers.training.metrics import LOWER_IS_BETTER, Metrics
from workers.training.model.loaded import Loaded
from workers.training.model.wrapping import in_full_precision
from workers.training.plugin import Step

BEST = "best.safetensors"


@dataclass
class Best:
    """The best value so far, the step it was reached at, and evaluations since."""

    value: float = math.nan
    step: int = 0
    since: int = 0
    ended: bool = False

    def update(self, value: float | None, step: int, *, lower: bool) -> bool:
        """Compare a value; True if it is the best so far, which an unknown value never is."""
        better = value is not None and (
            math.isnan(self.value) or (value < self.value if lower else value > self.value)
        )
        if better:
            assert value is not None
            self.value, self.step, self.since = value, step, 0
        else:
            self.since += 1
        return better


class Evaluation:
    """Evaluates every N steps or epochs; its state is part of each checkpoint.

    Rank 0 evaluates and sends its metrics to the others, so that all make the same decisions.

    Args:
        plan: The stage's options of mid-evaluation.
        measure: Evaluates the model.
        report: Puts the metrics on the run's curve.
        loaded: The model in training.
        folder: Folder of the best weights.
    """

    def __init__(
        self,
        plan: MidEvaluation,
        measure: Callable[[], Metrics],
        report: Callable[[Metrics, int], None],
        loaded: Loaded,
        folder: Path,
    ) -> None:
        self.plan = plan
        self.best = Best()
        self._measure = measure
        self._report = report
        self._loaded = loaded
        self._file = folder / BEST
        self._epochs_done = 0

    def evaluate_if_due(
        self, step: Step, *, settled: bool = True
    ) -> dict[str, float | None] | None:
        """Evaluate after a step if due; ends training when patience runs out.

        Args:
            step: The step.
            settled: Whether its weights may be the result; else they are only evaluated.
        """
        if self.best.ended or not self._due(step):
            return None
        metrics = self._on_rank_0(step)
        if not settled:
            return {name: score.value for name, score in metrics.items()}
        name = self.plan.metric or next(iter(metrics))
        if self.best.update(metrics[name].value, step.done, lower=name in LOWER_IS_BETTER):
            self._keep()
        if self.plan.patience is not None and self.best.since >= self.plan.patience:
            self.best.ended = True
            step.stop(f"no better {name} in {self.best.since} evaluations")
        return {name: score.value for name, score in metrics.items()}

    def finish(self) -> None:
        """After training: load the best weights if the stage keeps them."""
        if self.plan.keep_best and self._file.exists():
            self._loaded.model.load_state_dict(load_file(self._file), strict=False)

    def state(self) -> dict[str, torch.Tensor]:
        """The state for a checkpoint."""
        best = self.best
        values = [best.value, best.step, best.since, best.ended, self._epochs_done]
        return {"best": torch.tensor(values, dtype=torch.float64)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what ``state`` returned."""
        value, step, since, ended, epochs = state["best"].tolist()
        self.best = Best(value, int(step), int(since), bool(ended))
        self._epochs_done = int(epochs)

    def _due(self, step: Step) -> bool:
        if self.plan.every_steps is not None:
            return step.done % self.plan.every_steps == 0 or step.done == step.total
        epochs = math.floor(step.epoch + 1e-6)
        every = self.plan.every_epochs or 1
        due = epochs > self._epochs_done and epochs % every == 0
        self._epochs_done = epochs
        return due or step.done == step.total

    def _on_rank_0(self, step: Step) -> Metrics:
        metrics: Metrics = {}
        if ranks.rank() == 0:
            with in_full_precision(self._loaded.model):
                metrics = self._measure()
            self._loaded.model.train(True)
            self._report(metrics, step.done)
        if ranks.world_size() > 1:
            box = [metrics]
            torch.distributed.broadcast_object_list(box, src=0)
            metrics = box[0]
        return metrics

    def _keep(self) -> None:
        if not self.plan.keep_best:
            return
        if ranks.rank() == 0:
            save_tensors(trainable_state(self._loaded.model), self._file)
        if ranks.world_size() > 1:
            torch.distributed.barrier()


def planned(
    context: StageContext, loaded: Loaded, options: Optimisation, tally: Tally, folder: Path
) -> Evaluation | None:
    """The stage's evaluation during training; None if it has none."""
    plan: MidEvaluation | None = getattr(options, "mid_evaluation", None)
    if plan is None:
        return None
    # A stop in the middle of an evaluation waits for the next step, where a checkpoint is written.
    silent = replace(context, reporter=SilentReporter())
    flops, exits = model_profile(context, loaded), exit_profiles(context, loaded)

    def measure() -> Metrics:
        metrics, predictions = evaluate(
            silent, loaded, plan.split, batch_size=plan.batch_size, max_length=options.max_length
        )
        density = profile(loaded.model, flops).density
        tally.add(
            predictions.forward_flops(flops, exits=exits),
            predictions.forward_flops(flops, density, exits),
        )
        return metrics

    def report(metrics: Metrics, step: int) -> None:
        for name, score in metrics.items():
            of_class = None if score.of_class is None else score.of_class[:MAX_NAME_CHARS]
            context.reporter.metric(
                name, score.value, split=plan.split, step=step, of_class=of_class
            )

    return Evaluation(plan, measure, report, loaded, folder)
