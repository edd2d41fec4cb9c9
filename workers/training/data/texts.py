"""The splits of a run's data, read and checked as its task needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pricetag.recipes import Data
from workers.job.context import StageContext
from workers.job.data_files import files_of
from workers.job.request import JobError
from workers.training.data.cells import Cells
from workers.training.data.examples import Examples
from workers.training.data.glue import read_glue, require_labels
from workers.training.data.tables import Table, require_columns
from workers.training.tasks.registry import task_of


def load_split(context: StageContext, split: str) -> Examples:
    """A split of the run's data, cached for the following stages.

    Raises:
        JobError: The split is missing, unreadable, empty, or has a bad cell.
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
    task = task_of(context)
    if data.hub is not None:
        table = _hub_table(context, data, place, task.columns(data), field)
    else:
        files = [file.path for file in files_of(data, split, place, context.job.data_roots)]
        is_glue = data.glue is not None
        table = (
            read_glue(data, split, files, field) if is_glue else task.read(files[0], data, field)
        )
    for note in table.notes:
        context.reporter.log(f"{split} data: {note}")
    if not next(iter(table.columns.values())):
        raise JobError("empty-data", f"the {split} data has no rows", field)
    if data.glue is not None:
        require_labels(data, table, field)
    return task.examples(Cells(table, field), data, split)


def _hub_table(
    context: StageContext, data: Data, split: str, names: Sequence[str], field: str
) -> Table:
    """A split of a hub data set, with its own class names instead of numbers."""
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
    classes = table.features[data.label] if data.label in names else None
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
    """Reject a data set that names files outside the hub: only the hub's are read."""
    for files in (builder.config.data_files or {}).values():
        for file in files:
            # Of ``zip://inner::outer`` the last part is opened.
            if not str(file).rpartition("::")[2].startswith("hf://datasets/"):
                raise _not_of_the_hub(str(data.hub))


def _not_of_the_hub(name: str) -> JobError:
    message = f"'{name}' names files outside the hub; name local data by their path"
    return JobError("path-outside-roots", message, "recipe.data.hub")
