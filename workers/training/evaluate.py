"""Quality of a model on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pricetag.recipes.base import MAX_NAME_CHARS
from pricetag.recipes.glue import task_entry
from pricetag.recipes.tasks import TaskEntry
from workers.job.context import StageContext
from workers.training.data.texts import load_split
from workers.training.formats.profile import ModelProfile
from workers.training.metrics import LOWER_IS_BETTER, Metrics
from workers.training.model.loaded import Loaded
from workers.training.prediction import Predictions
from workers.training.tasks.registry import task_of


def evaluate(
    context: StageContext, loaded: Loaded, split: str, *, batch_size: int, max_length: int
) -> tuple[Metrics, Predictions]:
    """Quality by name, as the run's task measures it, and the batches computed for it.

    A task of GLUE has its official metrics alone.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
    """
    task = task_of(context)
    examples = load_split(context, split)
    data = task.tokens(context, examples, loaded, loaded.token_limit(max_length))
    metrics, predictions = task.score(context, loaded, examples, data, batch_size)
    if _glue(context) is not None:
        metrics = {name: metrics[name] for name in _task(context).metrics}
    return metrics, predictions


def _glue(context: StageContext) -> str | None:
    """The run's task of GLUE."""
    return None if context.recipe.data is None else context.recipe.data.glue


def _task(context: StageContext) -> TaskEntry:
    """The run's task, with the metrics of its data."""
    assert context.recipe.task is not None
    return task_entry(context.recipe.task, _glue(context))


def evaluate_splits(
    context: StageContext,
    loaded: Loaded,
    profile: ModelProfile,
    splits: Iterable[str],
    *,
    batch_size: int,
    max_length: int,
    keep: Callable[[StageContext, Loaded, str, Predictions], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Report the quality on each split, and the operations of all of them.

    Args:
        context: The stage.
        loaded: The model.
        profile: Its operations.
        splits: The splits.
        batch_size: Examples per batch.
        max_length: Maximum number of tokens.
        keep: Keeps the predictions of a split; None to keep none.

    Returns:
        By split, the metrics that have a value.

    Raises:
        JobError: A split cannot be read, or does not fit the model.
    """
    quality: dict[str, dict[str, float]] = {}
    dense = effective = low_bit = 0.0
    for split in dict.fromkeys(splits):
        metrics, predictions = evaluate(
            context, loaded, split, batch_size=batch_size, max_length=max_length
        )
        if keep is not None:
            keep(context, loaded, split, predictions)
        quality[split] = report_quality(context, split, metrics)
        dense += predictions.forward_flops(profile.flops, exits=profile.exits)
        effective += predictions.forward_flops(profile.flops, profile.density, profile.exits)
        if profile.low_bit:
            low_bit += predictions.low_bit_flops(profile.flops, profile.exits)
    method, uncounted = profile.flops.method, list(profile.flops.uncounted)
    context.reporter.flops(dense, effective, low_bit, method, uncounted)
    return quality


def train_dev_gap(quality: Mapping[str, Mapping[str, float]], metric: str) -> float | None:
    """The difference of a metric between the training split and the validation split.

    Args:
        quality: Metrics by split.
        metric: Name of the metric.

    Returns:
        Above 0 if the model fits its training split better; None if the metric has no value on one
        of them.
    """
    values = [quality.get(split, {}).get(metric) for split in ("train", "validation")]
    if values[0] is None or values[1] is None:
        return None
    gap = values[0] - values[1]
    return -gap if metric in LOWER_IS_BETTER else gap


def report_gap(context: StageContext, quality: Mapping[str, Mapping[str, float]]) -> None:
    """Report the gap of the task's first metric, if both splits were evaluated."""
    if not {"train", "validation"} <= quality.keys():
        return
    metric = _task(context).metrics[0]
    gap = train_dev_gap(quality, metric)
    reason = None if gap is not None else f"{metric} is undefined on one of the splits"
    context.reporter.metric("train_dev_gap", gap, reason=reason)


def report_quality(context: StageContext, split: str, metrics: Metrics) -> dict[str, float]:
    """Put the metrics on the price tag; returns those that have a value."""
    for name, score in metrics.items():
        context.reporter.metric(
            name,
            score.value,
            split=split,
            quality=True,
            of_class=None if score.of_class is None else score.of_class[:MAX_NAME_CHARS],
            reason=score.reason,
        )
    return {name: score.value for name, score in metrics.items() if score.value is not None}
