"""Labelled text of a run: read, checked, labels numbered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pricetag.recipes import Data
from pricetag.recipes.labels import class_name, find_class
from pricetag.storable import is_unicode
from workers.job import roots
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.data.examples import Examples
from workers.training.data.labels import unknown_label
from workers.training.data.tables import Reading, Table, read_table, require_columns


def load_split(context: StageContext, split: str) -> Examples:
    """A split of the run's data, kept for the stages that follow.

    Raises:
        JobError: the split is missing, unreadable, empty, or has a bad cell.
    """
    loaded: Examples = context.cached(("examples", split), lambda: _load(context, split))
    return loaded


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
        table = read_table(path, names, field, _reading(data))
    if not table.columns[data.label]:
        raise JobError("empty-data", f"the {split} data has no rows", field)
    cells = _Cells(table, field)
    regression = context.recipe.task == "regression"
    examples = Examples(
        split=split,
        texts=cells.texts(data.text),
        pairs=cells.texts(data.text_pair) if data.text_pair else None,
        labels=cells.scores(data.label) if regression else cells.classes(data.label),
        class_names=None if regression else table.classes,
        unit=table.unit,
        places=table.places,
    )
    return _with_given_names(examples, data) if data.labels else examples


def _reading(data: Data) -> Reading:
    """How the files of the data set are written, as the job states it."""
    return Reading(
        columns=data.columns,
        encoding=data.encoding,
        separator=data.separator,
        header=data.header is None,
        quotes=data.quote is None,
        label_separator=data.label_separator,
        records=data.records,
        label=data.label,
    )


def _with_given_names(examples: Examples, data: Data) -> Examples:
    """The labels as the job's ``labels`` spell them; numbers count from 0 in that list."""
    assert data.labels is not None
    numbers = {str(number): name for number, name in enumerate(data.labels)}
    spelled: dict[str, str] = {}
    named = replace(examples, class_names=tuple(data.labels), labels_given=True)
    for row, label in enumerate(examples.labels):
        name = str(label)
        if name not in spelled:
            number = find_class(name, data.labels)
            known = numbers.get(name) if number is None else data.labels[number]
            if known is None:
                raise unknown_label(named, row, data.labels)
            spelled[name] = known
    return replace(named, labels=[spelled[str(label)] for label in examples.labels])


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
            if not is_unicode(cell):
                raise self._bad(column, index, "is not Unicode: half of a surrogate pair")
        if not any(cell.strip() for cell in cells):
            message = f"every text in the column '{column}' is empty"
            raise JobError("empty-data", message, self.field)
        return list(cells)

    def classes(self, column: str) -> list[str]:
        """Class names: ``1``, ``"1"`` and ``1.0`` are one class."""
        names = []
        shared: dict[str, str] = {}  # one string a class, not one a row
        for index, cell in enumerate(self.table.columns[column]):
            name = class_name(cell)
            if name is None or not is_unicode(name):
                raise self._bad(column, index, "is no class")
            names.append(shared.setdefault(name, name))
        return names

    def scores(self, column: str) -> list[float]:
        scores = []
        for index, cell in enumerate(self.table.columns[column]):
            try:
                score = float(cell)
            except (TypeError, ValueError, OverflowError):
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
    if not isinstance(classes, datasets.ClassLabel):
        return Table(columns)
    order = tuple(str(name) for name in classes.names)
    numbers = columns[data.label]
    for row, number in enumerate(numbers, start=1):
        if number is None or not 0 <= number < len(order):
            message = (
                f"row {row}: the label {number} of '{data.hub}', split '{split}', is not a class; "
                "its labels may be hidden: use a split that has them"
            )
            raise JobError("unknown-label", message, field)
    columns[data.label] = [order[number] for number in numbers]
    return Table(columns, classes=order)


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
