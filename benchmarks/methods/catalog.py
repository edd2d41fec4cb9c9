"""The runs of the benchmark, as ``catalog.yaml`` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pricetag.recipes import REGISTRY

FILE = Path(__file__).with_name("catalog.yaml")
BASE = "base"
TEACHER = "teacher"
"""Name of the run that others start from, and of the stages that train a method's teacher."""


@dataclass(frozen=True)
class Entry:
    """One run of the catalog.

    Attributes:
        name: Its name in the file.
        title: What the table shows.
        method: Kind of the registry that it is about.
        stages: Its stages as in a job file, without what the budget decides.
        start: Run whose last model it starts from, or ``base``.
        task: Task of the run; only classifiers are measured.
        data: Data sets on which it runs.
        table: Whether it is a row of the table.
        train_score: Whether it is also scored on the training sentences.
        note: A remark.
        model: The model that it starts from instead of the encoder, as in a job file.
    """

    name: str
    title: str
    method: str
    stages: list[dict[str, Any]]
    start: str = TEACHER
    task: str = "classification"
    data: list[str] = field(default_factory=lambda: ["sst2"])
    table: bool = True
    train_score: bool = False
    note: str | None = None
    model: dict[str, Any] | None = None

    @property
    def is_measured(self) -> bool:
        return self.task == "classification"


@dataclass(frozen=True)
class Catalog:
    """All runs by name, and the kinds that do not run, with the reason.

    Attributes:
        runs: All runs by name.
        not_run: Kinds without a run, with the reason.
        budgets: What the budget of a data set has other than the common one, by data set.
    """

    runs: Mapping[str, Entry]
    not_run: Mapping[str, str]
    budgets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def chain(self, name: str) -> list[Entry]:
        """A run and those that it starts from, the first one first."""
        chain = [self.runs[name]]
        while chain[0].start != BASE:
            chain.insert(0, self.runs[chain[0].start])
        return chain

    def with_upstream(self, names: Iterable[str]) -> list[Entry]:
        """The runs of these names and all that they need, in an order in which they can run."""
        needed: dict[str, Entry] = {}
        for name in names:
            needed |= {entry.name: entry for entry in self.chain(name)}
        return list(needed.values())

    def one_of_each_method(self) -> list[str]:
        """The first row of the table of each method."""
        first: dict[str, str] = {}
        for entry in self.runs.values():
            if entry.table:
                first.setdefault(entry.method, entry.name)
        return list(first.values())

    def missing(self) -> list[str]:
        """Kinds of the registry without a run or a reason."""
        present = {entry.method for entry in self.runs.values()} | set(self.not_run)
        return [kind for kind in REGISTRY if kind not in present]


@cache
def read(file: Path = FILE) -> Catalog:
    """The catalog.

    Raises:
        ValueError: If a run starts from one that does not exist, or from itself.
    """
    described = yaml.safe_load(file.read_text(encoding="utf-8"))
    runs = {name: Entry(name=name, **fields) for name, fields in described["runs"].items()}
    for entry in runs.values():
        _check(entry, runs)
    return Catalog(runs, described["not_run"], described["budgets"])


def _check(entry: Entry, runs: Mapping[str, Entry]) -> None:
    visited, upstream = {entry.name}, entry.start
    while upstream != BASE:
        if upstream not in runs:
            raise ValueError(f"{entry.name}: 'start' names an unknown run, {upstream}")
        if upstream in visited:
            raise ValueError(f"{entry.name}: starts from itself")
        if missing := set(entry.data) - set(runs[upstream].data):
            raise ValueError(f"{entry.name}: {upstream} does not run on {', '.join(missing)}")
        visited.add(upstream)
        upstream = runs[upstream].start
