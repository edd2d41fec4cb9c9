"""Tasks of runs, with the options of their data and the architectures of new models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TaskName = Literal["classification", "regression", "masked_lm", "causal_lm", "question_answering"]


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """Description of a task for the server.

    Attributes:
        name: Name in recipes; ``workers.training.tasks`` has a file with this name.
        metrics: Metrics of an evaluation; the first is the default for decisions.
        options: Options of ``data`` that only some tasks, including this one, have.
        architectures: Architectures of models with random weights.
        title: Name in messages, where it is not ``name``.
        hides_tokens: Whether only hidden tokens are predicted.
        has_classes: Whether it predicts a class of each example.
    """

    name: TaskName
    metrics: tuple[str, ...]
    options: frozenset[str]
    architectures: tuple[str, ...] = ("bert",)
    title: str | None = None
    hides_tokens: bool = False
    has_classes: bool = False

    @property
    def shown(self) -> str:
        """Name in messages."""
        return self.title or self.name


_TASKS = (
    TaskEntry(
        "classification",
        ("accuracy", "f1", "mcc"),
        frozenset({"text_pair", "labels", "positive_label"}),
        has_classes=True,
    ),
    TaskEntry("regression", ("pearson", "spearman"), frozenset({"text_pair"})),
    TaskEntry(
        "masked_lm",
        ("perplexity", "masked_accuracy", "predicted_tokens"),
        frozenset({"block_size"}),
        hides_tokens=True,
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

LANGUAGE_MODELS = frozenset[TaskName]({"masked_lm", "causal_lm"})
"""Tasks that predict tokens of a vocabulary."""


def tasks_with(option: str) -> list[str]:
    """Names of the tasks with an option of ``data``; empty if all tasks have it."""
    return [task.name for task in TASKS.values() if option in task.options]
