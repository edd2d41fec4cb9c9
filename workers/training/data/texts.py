"""Labelled text of a run: read, checked, labels numbered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricetag.recipes import Data
from workers.job import roots
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.data.tables import Table, read_table, require_columns


@dataclass(frozen=True)
class Examples:
    """One split. ``labels`` are class names (classification) or scores (regression)."""

    split: str
    texts: list[str]
    pairs: list[str] | None
    labels: list[str] | list[float]

    def __len__(self) -> int:
        return len(self.texts)


def load_split(context: StageContext, split: str) -> Examples:
    """A split of the run's data, kept for the stages that follow.

    Raises:
        JobError: the split is missing, unreadable, empty, or has a bad cell.
    """
    loaded: Examples = context.cached(("examples", split), lambda: _load(context, split))
    return loaded


def label_names(train: Examples) -> list[str]:
    """The classes of a training split in order: by number if all are integers, else by name.

    Raises:
        JobError: ``single-class``.
    """
    names = sorted({str(label) for label in train.labels}, key=_label_order)
    if len(names) < 2:
        raise JobError(
            "single-class",
            f"the training data has one class only, {names[0]!r}: nothing to tell apart",
            "recipe.data.label",
        )
    return names


def encode_labels(examples: Examples, names: Sequence[str] | None) -> list[int] | list[float]:
    """Class numbers in ``names``, or the scores themselves where there are no classes.

    Raises:
        JobError: ``unknown-label``.
    """
    if names is None:
        return [float(label) for label in examples.labels]
    numbers = {name: number for number, name in enumerate(names)}
    try:
        return [numbers[str(label)] for label in examples.labels]
    except KeyError as error:
        raise JobError(
            "unknown-label",
            f"label {error.args[0]!r} of the {examples.split} data is not among those of the "
            f"model: {', '.join(names[:20])}",
            f"recipe.data.{examples.split}",
        ) from error


def _label_order(name: str) -> tuple[int, int, str]:
    try:
        return (0, int(name), name)
    except ValueError:
        return (1, 0, name)


def _load(context: StageContext, split: str) -> Examples:
    data = context.recipe.data
    assert data is not None
    place = data.splits().get(split)
    field = f"recipe.data.{split}"
    if place is None:
        raise JobError("missing-data", f"the run names no {split} data", field)
    names = [data.text, data.label] + ([data.text_pair] if data.text_pair else [])
    if data.hub is not None:
        table = _hub_table(context, data, place, names, field)
    else:
        path = roots.find(place, context.job.data_roots, field)
        table = read_table(path, names, field)
    if not table.columns[data.label]:
        raise JobError("empty-data", f"the {split} data has no rows", field)
    cells = _Cells(table, field)
    regression = context.recipe.task == "regression"
    return Examples(
        split=split,
        texts=cells.texts(data.text),
        pairs=cells.texts(data.text_pair) if data.text_pair else None,
        labels=cells.scores(data.label) if regression else cells.classes(data.label),
    )


@dataclass(frozen=True)
class _Cells:
    """A table's cells, checked column by column."""

    table: Table
    field: str

    def texts(self, column: str) -> list[str]:
        cells = self.table.columns[column]
        for index, cell in enumerate(cells):
            if not isinstance(cell, str):
                raise self._bad(column, index, "is no text")
        return list(cells)

    def classes(self, column: str) -> list[str]:
        """Class names: ``1``, ``"1"`` and ``1.0`` are one class."""
        names = []
        for index, cell in enumerate(self.table.columns[column]):
            if isinstance(cell, float) and cell.is_integer():
                cell = int(cell)
            if not isinstance(cell, str | int) or str(cell).strip() == "":
                raise self._bad(column, index, "is no class")
            names.append(str(cell).strip())
        return names

    def scores(self, column: str) -> list[float]:
        scores = []
        for index, cell in enumerate(self.table.columns[column]):
            try:
                score = float(cell)
            except (TypeError, ValueError):
                score = math.nan
            if not math.isfinite(score):
                raise self._bad(column, index, "is no number")
            scores.append(score)
        return scores

    def _bad(self, column: str, index: int, what: str) -> JobError:
        cell = self.table.columns[column][index]
        message = f"{self.table.where(index)}, column '{column}': {cell!r:.60} {what}"
        return JobError("bad-cell", message, self.field)


def _hub_table(
    context: StageContext, data: Data, split: str, names: Sequence[str], field: str
) -> Table:
    """A split of a hub data set; class numbers become the data set's own names."""
    if not context.job.allow_hub:
        raise JobError(
            "hub-not-allowed",
            "this worker does not use the hub; put the data under its data roots",
            "recipe.data.hub",
        )
    assert data.hub is not None
    if Path(data.hub).exists():
        raise _not_of_the_hub(data.hub)
    import datasets

    try:
        builder = datasets.load_dataset_builder(data.hub, data.config, revision=data.revision)
        _require_hub_files(data, builder)
        builder.download_and_prepare()
        table = builder.as_dataset(split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetNotFoundError) as error:
        message = f"cannot load '{data.hub}', split '{split}', from the hub: {error}"
        raise JobError("unreadable-data", message[:1000], field) from error
    require_columns(names, table.column_names, f"'{data.hub}'", field)
    columns = {name: list(table[name]) for name in names}
    classes = table.features[data.label]
    if isinstance(classes, datasets.ClassLabel):
        columns[data.label] = [classes.int2str(number) for number in columns[data.label]]
    return Table(columns)


def _require_hub_files(data: Data, builder: Any) -> None:
    """A data set may name any file or address as its own: only the hub's are read."""
    for files in (builder.config.data_files or {}).values():
        for file in files:
            # Of ``zip://inner::outer`` the last is what is opened.
            if not str(file).rpartition("::")[2].startswith("hf://datasets/"):
                raise _not_of_the_hub(str(data.hub))


def _not_of_the_hub(name: str) -> JobError:
    message = f"'{name}' would read files that are not the hub's; local data are named by path"
    return JobError("path-outside-roots", message, "recipe.data.hub")
