"""Task and data of a run's scores: only scores of the same task and data are ranked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pricetag.tag.scores import SCORES
from pricetag.tag.view import TagView

Recipe = Mapping[str, Any]

VALIDATION = "validation"
HASH_CHARACTERS = 16

COLUMNS = ("text", "text_pair", "label", "question", "context", "answer")
SOURCE = ("hub", "config", "revision", "path")

NO_SCORE = "the run has no such score"
NOT_RECORDED = "the data that it was scored on are not recorded"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A kind of score: only scores of one kind are ranked.

    Attributes:
        metric: Its metric.
        split: Its split; None where none is named.
        task: Task of the run; None for a program.
        data: Fingerprint of the task's columns and of the contents of the split's files, or of how
            the recipe names these where contents are not recorded; None if neither is known.
    """

    metric: str
    split: str | None
    task: str | None
    data: str | None


@dataclass(frozen=True)
class ScoredRun:
    """A run, or a trial of a study, with the task and data of its scores.

    Attributes:
        tag: Its price tag; of a trial, that of its last rung.
        recipe: Its recipe.
        before: Price tags of the earlier rungs of a trial, in order.
        incomplete: Why the whole cost of a trial is unknown; None if it is known.
        made_from: Price tags of the runs that trained the model that it compresses: a part of the
            price of its model, not of what it spent itself, nor of its scores.
    """

    tag: TagView
    recipe: Recipe
    before: Sequence[TagView] = ()
    incomplete: str | None = None
    made_from: Sequence[TagView] = ()

    @property
    def tags(self) -> Sequence[TagView]:
        """The price tags of all rungs, in order; its own alone where there are no rungs."""
        return (*self.before, self.tag)

    @cached_property
    def scores(self) -> Mapping[Evaluated, float]:
        """The last score of each kind: that of its last model; of a trial, the last that has any.

        A rung that failed has no score: the model of the rung before is the last one.
        """
        for tag in reversed(self.tags):
            if scores := self._scores_of(tag):
                return scores
        return {}

    def _scores_of(self, tag: TagView) -> dict[Evaluated, float]:
        task = self.recipe.get("task")
        items = [item for item in tag.document.quality if item.metric in SCORES]
        data = {split: self._data(tag, split) for split in {item.split for item in items}}
        return {
            Evaluated(item.metric, item.split, task, data[item.split]): item.value
            for item in items
            if item.value is not None
        }

    def stated(self, split: str | None) -> str:
        """Task, columns and place of a split's data as the recipe states them."""
        return json.dumps([self.recipe.get("task"), self._place(split)])

    def _place(self, split: str | None) -> list[Any]:
        data = self.recipe.get("data") or {}
        options = ("glue", *SOURCE, *COLUMNS, split or VALIDATION)
        return [data.get(option) for option in options]

    def _columns(self) -> list[Any]:
        data = self.recipe.get("data") or {}
        return [data.get(column) for column in COLUMNS]

    def _data(self, tag: TagView, split: str | None) -> str | None:
        role = f"data.{split or VALIDATION}"
        files = [each for each in tag.document.provenance.inputs or () if each.role == role]
        if files and all(file.sha256 is not None for file in files):
            return _hash([self._columns(), sorted(str(file.sha256) for file in files)])
        return _hash(self._place(split)) if self.recipe.get("data") else None


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:HASH_CHARACTERS]


def kinds(runs: Sequence[ScoredRun]) -> list[tuple[Evaluated, int]]:
    """All kinds of scores with their number of runs, most frequent first.

    Among ties, the best-known metric is first; then known data.
    """
    counts = Counter(kind for run in runs for kind in run.scores)
    return sorted(counts.items(), key=_order)


def _order(item: tuple[Evaluated, int]) -> tuple[Any, ...]:
    kind, count = item
    names = (kind.split or "", kind.task or "", kind.data or "")
    return (-count, SCORES.index(kind.metric), kind.data is None, *names)


def why_not(run: ScoredRun, kind: Evaluated | None) -> str | None:
    """Why a run has no score of a kind; None if it has one."""
    scores = run.scores
    if kind in scores:
        return None
    others = [s for s in scores if kind and (s.metric, s.split) == (kind.metric, kind.split)]
    if kind is None or not others:
        return NO_SCORE
    other = others[0]
    if other.task != kind.task:
        return f"scored on another task: {other.task or 'that of a program'}"
    return NOT_RECORDED if other.data is None else f"scored on other data: {other.data}"
