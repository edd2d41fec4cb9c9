"""The nine tasks of GLUE: classes, columns, metrics, and how their official files are laid out.

Source: Wang et al. 2018, GLUE, table 1, doi:10.18653/v1/W18-5446; Warstadt et al. 2019 (CoLA),
Socher et al. 2013 (SST-2), Dolan and Brockett 2005 (MRPC), Cer et al. 2017 (STS-B), Williams et
al. 2018 (MNLI), Rajpurkar et al. 2016 (QNLI), Levesque et al. 2012 (WNLI).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pricetag.recipes.base import MISMATCHED
from pricetag.recipes.tasks import TASKS, TaskEntry, TaskName

GlueName = Literal["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]

HUB = "nyu-mll/glue"
HUB_NAMES = ("glue", HUB)
SCORE_RANGE = (0.0, 5.0)
"""Range of the similarity of two sentences in STS-B."""


@dataclass(frozen=True, slots=True)
class GlueTask:
    """One task of GLUE.

    Attributes:
        name: Name in recipes, which is the configuration's on the hub.
        title: Name in papers, and of the folder of its files.
        task: Task of a run.
        text: Column of the (first) text on the hub.
        text_pair: Column of the second text on the hub.
        labels: Classes in the order of their numbers; None for scores.
        positive: Positive class of F1, if that is a metric.
        metrics: The official metrics; the first one decides.
        columns: Columns of the official files: texts, then label. By default those of the hub.
        validation: Development files, by split.
        hub_validation: Development splits of the hub, by split.
    """

    name: GlueName
    title: str
    task: TaskName
    text: str
    text_pair: str | None
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    positive: str | None = None
    columns: tuple[str, ...] = ()
    validation: tuple[tuple[str, str], ...] = (("validation", "dev.tsv"),)
    hub_validation: tuple[tuple[str, str], ...] = (("validation", "validation"),)

    @property
    def score_splits(self) -> tuple[str, ...]:
        """The development splits, whose scores are averaged: two for MNLI."""
        return tuple(split for split, _ in self.validation)

    @property
    def column_sets(self) -> tuple[tuple[str, ...], ...]:
        """The columns that a file may have: the official ones, or those of the hub."""
        pair = () if self.text_pair is None else (self.text_pair,)
        of_hub = (self.text, *pair, "label")
        return tuple(dict.fromkeys((self.columns or of_hub, of_hub)))

    @property
    def entry(self) -> TaskEntry:
        """The run's task, with the official metrics of this one."""
        return replace(TASKS[self.task], metrics=self.metrics, title=f"GLUE's {self.title}")


_ENTAILMENT = ("entailment", "not_entailment")
_TASKS = (
    GlueTask(
        "cola",
        "CoLA",
        "classification",
        "sentence",
        None,
        ("unacceptable", "acceptable"),
        ("mcc",),
    ),
    GlueTask(
        "sst2",
        "SST-2",
        "classification",
        "sentence",
        None,
        ("negative", "positive"),
        ("accuracy",),
    ),
    GlueTask(
        "mrpc",
        "MRPC",
        "classification",
        "sentence1",
        "sentence2",
        ("not_equivalent", "equivalent"),
        ("f1", "accuracy"),
        positive="equivalent",
        columns=("#1 String", "#2 String", "Quality"),
    ),
    GlueTask(
        "stsb",
        "STS-B",
        "regression",
        "sentence1",
        "sentence2",
        None,
        ("pearson", "spearman"),
        columns=("sentence1", "sentence2", "score"),
    ),
    GlueTask(
        "qqp",
        "QQP",
        "classification",
        "question1",
        "question2",
        ("not_duplicate", "duplicate"),
        ("f1", "accuracy"),
        positive="duplicate",
        columns=("question1", "question2", "is_duplicate"),
    ),
    GlueTask(
        "mnli",
        "MNLI",
        "classification",
        "premise",
        "hypothesis",
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
        columns=("sentence1", "sentence2", "gold_label"),
        validation=(("validation", "dev_matched.tsv"), (MISMATCHED, "dev_mismatched.tsv")),
        hub_validation=(("validation", "validation_matched"), (MISMATCHED, MISMATCHED)),
    ),
    GlueTask("qnli", "QNLI", "classification", "question", "sentence", _ENTAILMENT, ("accuracy",)),
    GlueTask("rte", "RTE", "classification", "sentence1", "sentence2", _ENTAILMENT, ("accuracy",)),
    GlueTask(
        "wnli",
        "WNLI",
        "classification",
        "sentence1",
        "sentence2",
        ("not_entailment", "entailment"),
        ("accuracy",),
    ),
)

GLUE: Mapping[str, GlueTask] = {task.name: task for task in _TASKS}
"""The tasks in the order of the benchmark's tables."""


def plain_name(text: str) -> str:
    """A task's or folder's name in small letters without signs: ``sst2`` for ``SST-2``."""
    return re.sub(r"[-_\s]", "", text.casefold())


def glue_task(value: object) -> GlueTask | None:
    """The task of a name in any spelling; None if there is none."""
    return GLUE.get(plain_name(value)) if isinstance(value, str) else None


def task_entry(task: TaskName, glue: str | None) -> TaskEntry:
    """A run's task, with the metrics of its data."""
    return TASKS[task] if glue is None else GLUE[glue].entry


def options_of(task: GlueTask, path: str | None, hub: str | None) -> dict[str, Any]:
    """The options of ``data`` that follow from a task of GLUE.

    Args:
        task: The task.
        path: Folder with its files in the official layout.
        hub: Data set of the hub without a folder; None for GLUE's own.
    """
    options: dict[str, Any] = {"text": task.text, "text_pair": task.text_pair, "label": "label"}
    if task.labels is not None:
        options["labels"] = list(task.labels)
    if task.positive is not None:
        options["positive_label"] = task.positive
    if path is None:
        return options | {
            "hub": hub or HUB,
            "config": task.name,
            "train": "train",
            **dict(task.hub_validation),
        }
    folder = path.rstrip("/") or path
    files = {"train": "train.tsv", **dict(task.validation)}
    return options | {split: f"{folder}/{file}" for split, file in files.items()}
