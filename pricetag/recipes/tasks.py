"""Tasks of a run, each described once: what the data may state, what a new model may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TaskName = Literal["classification", "regression", "masked_lm", "causal_lm", "question_answering"]


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """What must be known of a task without a worker.

    Attributes:
        name: In a recipe; the worker's module ``workers.training.tasks`` has a file of that name.
        metrics: Of an evaluation; the first decides where one must.
        options: Options of ``data`` that belong to this task and not to every task.
        architectures: What a model from random weights may be.
    """

    name: TaskName
    metrics: tuple[str, ...]
    options: frozenset[str]
    architectures: tuple[str, ...] = ("bert",)


_TASKS = (
    TaskEntry(
        "classification",
        ("accuracy", "f1", "mcc"),
        frozenset({"text_pair", "labels", "positive_label"}),
    ),
    TaskEntry("regression", ("pearson", "spearman"), frozenset({"text_pair"})),
    TaskEntry(
        "masked_lm",
        ("perplexity", "masked_accuracy", "predicted_tokens"),
        frozenset({"block_size"}),
    ),
    TaskEntry(
        "causal_lm", ("perplexity", "predicted_tokens"), frozenset({"block_size"}), ("gpt2",)
    ),
    TaskEntry(
        "question_answering",
        ("exact_match", "f1"),
        frozenset({"question", "context", "answer", "answer_start", "doc_stride"}),
    ),
)

TASKS: Mapping[str, TaskEntry] = {task.name: task for task in _TASKS}

LABELED = frozenset[TaskName]({"classification", "regression"})
"""Tasks with one label for each text or pair of texts."""


def tasks_with(option: str) -> list[str]:
    """Names of the tasks that an option of ``data`` belongs to; none for one of every task."""
    return [task.name for task in TASKS.values() if option in task.options]
