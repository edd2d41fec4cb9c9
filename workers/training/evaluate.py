"""Quality of a model on a split."""

from __future__ import annotations

from pricetag.recipes.base import MAX_NAME_CHARS
from workers.job.context import StageContext
from workers.training.data.texts import load_split
from workers.training.metrics import Metrics
from workers.training.model.models import Loaded
from workers.training.prediction import Predictions
from workers.training.tasks.registry import task_of


def evaluate(
    context: StageContext, loaded: Loaded, split: str, *, batch_size: int, max_length: int
) -> tuple[Metrics, Predictions]:
    """Quality by name, as the run's task measures it, and what was computed for it.

    Raises:
        JobError: the split cannot be read, or does not fit the model.
    """
    task = task_of(context)
    examples = load_split(context, split)
    data = task.tokens(context, examples, loaded, loaded.token_limit(max_length))
    return task.score(context, loaded, examples, data, batch_size)


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
