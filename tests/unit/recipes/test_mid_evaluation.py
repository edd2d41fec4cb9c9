"""An evaluation during training uses a metric that the run's task reports."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.recipes import REGISTRY, RecipeError, parse_recipe
from pricetag.recipes.tasks import TASKS

KINDS = [
    kind
    for kind, entry in REGISTRY.items()
    if "mid_evaluation" in entry.params.model_fields and entry.traits.headless is None
]
PAIRS = [(kind, task) for kind in KINDS for task in TASKS if task in REGISTRY[kind].traits.tasks]
METRICS = sorted({metric for task in TASKS.values() for metric in task.metrics})


def described(task: str, kind: str, metric: str | None) -> dict[str, Any]:
    ending = "json" if task == "question_answering" else "csv"
    data = {"train": f"a.{ending}", "validation": f"b.{ending}"}
    middle = {"every_steps": 2, "metric": metric}
    stage = {**REGISTRY[kind].example, "mid_evaluation": middle}
    first = {"kind": "train", "evaluate": False}
    return {"task": task, "data": data, "model": "base", "stages": [first, stage]}


@pytest.mark.parametrize(("kind", "task"), PAIRS)
@pytest.mark.parametrize("metric", [*METRICS, "loss", "Accuracy", ""])
def test_a_metric_that_the_task_does_not_report_is_rejected_with_those_it_does(
    task: str, kind: str, metric: str
) -> None:
    if metric in TASKS[task].metrics:
        stage: Any = parse_recipe(described(task, kind, metric)).stages[1]
        assert stage.mid_evaluation.metric == metric
        return
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described(task, kind, metric))
    assert caught.value.field == "recipe.stages.1.mid_evaluation.metric"
    assert f"'{metric}' is not a metric of {task}" in caught.value.message
    assert all(name in caught.value.message for name in TASKS[task].metrics)


@pytest.mark.parametrize("task", TASKS)
def test_without_a_metric_the_tasks_first_decides(task: str) -> None:
    stage: Any = parse_recipe(described(task, "train", None)).stages[1]
    assert stage.mid_evaluation.metric is None
