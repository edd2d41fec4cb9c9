"""Scores on GLUE in points: means over runs, by task, and the average over tasks.

Source: Wang et al. 2018, GLUE, section 4, doi:10.18653/v1/W18-5446; Devlin et al. 2019, table 1,
doi:10.18653/v1/N19-1423 (without WNLI, too; their average counts the two sets of MNLI apart, and of
two metrics one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from pricetag.recipes.glue import GLUE
from pricetag.tag.figures import counted
from pricetag.tag.glue.runs import Made

POINTS = 100.0
WITHOUT_WNLI = tuple(name for name in GLUE if name != "wnli")
ALL_TASKS = tuple(GLUE)
NOT_EVALUATED = "not evaluated"


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over runs.

    Attributes:
        value: The mean; None where the figure of any run is unknown.
        std: Sample standard deviation; None for fewer than two runs.
        count: Number of runs.
        reason: Why there is no value.
    """

    value: float | None
    std: float | None
    count: int
    reason: str | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """The mean of figures that are all known; at least one."""
        std = stdev(values) if len(values) > 1 else None
        return cls(fmean(values), std, len(values))


@dataclass(frozen=True, slots=True)
class TaskScore:
    """Scores on one task.

    Attributes:
        parts: Each official metric on each development set, by split and name, in points.
        score: Mean of the parts of each run, in points; this one counts in the average.
    """

    parts: Mapping[tuple[str, str], Mean]
    score: Mean


def task_score(models: Sequence[Made]) -> TaskScore:
    """The scores of models of several runs on one task."""
    task = models[0].run.task
    assert task is not None
    keys = [(split, metric) for split in task.score_splits for metric in task.metrics]
    parts = {key: _part(models, key) for key in keys}
    unknown = next((part for part in parts.values() if part.value is None), None)
    if unknown is not None:
        return TaskScore(parts, Mean(None, None, len(models), unknown.reason))
    scores = [fmean(_points(model, key)[0] or 0.0 for key in keys) for model in models]
    return TaskScore(parts, Mean.of(scores))


def _part(models: Sequence[Made], key: tuple[str, str]) -> Mean:
    points = [_points(model, key) for model in models]
    reasons = [reason for value, reason in points if value is None]
    if reasons:
        where = f" in {len(reasons)} of {counted(len(models), 'run')}" if len(models) > 1 else ""
        return Mean(None, None, len(models), f"{'; '.join(dict.fromkeys(reasons))}{where}")
    return Mean.of([value for value, _ in points if value is not None])


def _points(model: Made, key: tuple[str, str]) -> tuple[float | None, str]:
    """A score in points, and why it is unknown."""
    item = model.scores.get(key)
    if item is None:
        return None, NOT_EVALUATED
    if item.value is None:
        return None, item.reason or "not defined"
    return POINTS * item.value, ""


def average(tasks: Mapping[str, TaskScore], names: Sequence[str] = WITHOUT_WNLI) -> Mean:
    """Mean of the scores on some tasks, in points; unknown if any of them is.

    Args:
        tasks: Scores by task.
        names: The tasks of the average.
    """
    missing = [GLUE[name].title for name in names if name not in tasks]
    undefined = [GLUE[n].title for n in names if n in tasks and tasks[n].score.value is None]
    reasons = [
        f"{problem} {', '.join(titles)}"
        for problem, titles in (("no score on", missing), ("score undefined on", undefined))
        if titles
    ]
    if reasons:
        return Mean(None, None, len(names), "; ".join(reasons))
    return Mean(fmean(tasks[name].score.value or 0.0 for name in names), None, len(names))
