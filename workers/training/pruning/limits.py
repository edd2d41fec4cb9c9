"""Limits at which rounds of pruning end: a drop in quality, or a size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from workers.job.context import StageContext
from workers.job.reporter import SilentReporter
from workers.job.request import JobError
from workers.training.cost.tally import Tally
from workers.training.decisions import decided
from workers.training.evaluate import evaluate
from workers.training.finetune import full_profile
from workers.training.metrics import LOWER_IS_BETTER
from workers.training.model.loaded import Loaded
from workers.training.rounds import Result

SPLIT = "validation"
EVALUATION_BATCH = 64
BEFORE = "before"
"""Name of the time of the reference quality."""


@dataclass(frozen=True)
class Quality:
    """The task's first metric on the validation split.

    Attributes:
        metric: Name of the metric.
        value: Its value; None where it is undefined, as MCC is of predictions of one class.
    """

    metric: str
    value: float | None

    def drop(self, later: Quality) -> float:
        """The drop from this to a later quality; negative if that is better.

        A quality that is no longer defined is infinitely worse.
        """
        if self.value is None or later.value is None:
            return math.inf
        change = later.value - self.value
        return change if self.metric in LOWER_IS_BETTER else -change


@dataclass(frozen=True)
class Limits:
    """When rounds end.

    Attributes:
        before: Quality before pruning; None without a limit of the drop.
        max_drop: Largest accepted drop of the metric.
        target_bytes: Size (a bit for each place, and the values) at which pruning ends.
    """

    before: Quality | None = None
    max_drop: float | None = None
    target_bytes: int | None = None

    def too_bad(self, result: Result) -> bool:
        """Whether a round has lost more quality than accepted."""
        if self.before is None or self.max_drop is None:
            return False
        return self.before.drop(Quality(**result["quality"])) > self.max_drop + 1e-12

    def small_enough(self, result: Result) -> bool:
        """Whether a round has reached the size."""
        return self.target_bytes is not None and result["packed_bytes"] <= self.target_bytes

    def enough(self, results: Sequence[Result]) -> bool:
        """Whether no further round is needed after these results."""
        return self.too_bad(results[-1]) or self.small_enough(results[-1])

    def reason(self, result: Result) -> str | None:
        """Why the rounds ended after this result; None if they did not end early."""
        if self.too_bad(result):
            return f"{result['quality']['metric']} fell by more than max_drop {self.max_drop:g}"
        if self.small_enough(result):
            return f"{result['packed_bytes']:,} bytes, packed: target_bytes is reached"
        return None


def quality_of(
    context: StageContext, loaded: Loaded, tally: Tally, max_length: int, when: str
) -> Quality:
    """The model's quality on the validation split; rank 0 measures it once for all attempts.

    Args:
        context: The stage's context.
        loaded: The model.
        tally: Tally of the stage's operations.
        max_length: Maximum number of tokens.
        when: Name of the time, unique in the stage.

    Raises:
        JobError: ``quality-unknown`` if the metric is undefined before pruning.
        Interrupted: A stop was requested.
    """
    name = f"quality-{when}"
    measured = decided(
        context, name, lambda: asdict(_measured(context, loaded, tally, max_length, when))
    )
    return Quality(**measured)


def _measured(
    context: StageContext, loaded: Loaded, tally: Tally, max_length: int, when: str
) -> Quality:
    silent = replace(context, reporter=SilentReporter())
    metrics, predictions = evaluate(
        silent, loaded, SPLIT, batch_size=EVALUATION_BATCH, max_length=max_length
    )
    counted = full_profile(context, loaded)
    tally.add(
        predictions.forward_flops(counted.flops, exits=counted.exits),
        predictions.forward_flops(counted.flops, counted.density, counted.exits),
    )
    name, score = next(iter(metrics.items()))
    if score.value is None:
        text = f"{name} on the {SPLIT} split is undefined ({score.reason})"
        if when == BEFORE:
            raise JobError(
                "quality-unknown",
                f"{text}: max_drop cannot be judged",
                f"{context.field}.max_drop",
            )
        context.reporter.log(f"{text}: as a drop by more than max_drop")
    return Quality(name, score.value)
