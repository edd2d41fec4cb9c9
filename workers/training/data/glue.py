"""GLUE's tasks from files in the official layout, with the peculiarities of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pricetag.recipes import Data
from pricetag.recipes.glue import GLUE, SCORE_RANGE, GlueTask
from pricetag.tag.figures import counted
from workers.job.data_files import MSR_TEST, MSR_TRAIN
from workers.job.request import JobError
from workers.training.data.delimited import first_row, read_delimited
from workers.training.data.reading import PLAIN, Reading, Table, listed

COLA_COLUMNS = ("source", "label", "mark", "sentence")
"""CoLA's four columns, which have no header line."""

MSR_IDS = ("#1 ID", "#2 ID")
NO_LABEL = {"mnli": "-", "qqp": ""}
"""Marks of rows without a label: annotators of MNLI disagreed, or a row of QQP is broken."""

HIDDEN = frozenset({"-1", "-1.0"})
"""The label of examples whose labels are not published."""


def read_glue(data: Data, split: str, files: Sequence[Path], field: str) -> Table:
    """The rows of a split, in columns that are named as in ``data``.

    Rows that are broken or have no label (QQP, MNLI) are dropped, which a note says.

    Args:
        data: Options of the run's data, with ``glue``.
        split: Name of the split.
        files: The split's file, and MRPC's list of development examples if there is one.
        field: The option that names the file.

    Raises:
        JobError: ``missing-labels`` for a file without labels, which is a test set;
            ``missing-column``; ``unreadable-data``.
    """
    assert data.glue is not None
    task, path = GLUE[data.glue], files[0]
    header = first_row(path, data.encoding, field)
    columns, reading = _layout(task, path, header, field)
    reading = replace(reading, encoding=data.encoding)
    ids = MSR_IDS if len(files) > 1 else ()
    table = read_delimited(path, [*columns, *ids], field, reading)
    if len(files) > 1:
        table = _of_dev_ids(table, files[1], reading, field, wanted=split != "train")
    elif path.name == MSR_TEST and split == "validation":
        table = _noted(table, f"{MSR_TEST}, since there is no list of development examples")
    elif path.name == MSR_TRAIN:
        table = _noted(table, f"all of {MSR_TRAIN}: there is no list of development examples")
    if task.name in NO_LABEL:
        table = _kept(
            table,
            (label.strip() != NO_LABEL[task.name] for label in table.columns[columns[-1]]),
            lambda count: f"{counted(count, 'row')} without a label dropped",
        )
    texts = [data.text] if data.text_pair is None else [data.text, data.text_pair]
    renamed = dict(zip(columns, [*texts, data.label], strict=True))
    return replace(table, columns={renamed[name]: table.columns[name] for name in columns})


def require_labels(data: Data, table: Table, field: str) -> None:
    """Reject hidden labels, and scores that STS-B does not have.

    Raises:
        JobError: ``missing-labels``; ``bad-cell``.
    """
    assert data.glue is not None
    title = GLUE[data.glue].title
    low, high = SCORE_RANGE
    for row, label in enumerate(table.columns[data.label]):
        if str(label).strip() in HIDDEN:
            message = (
                f"{table.where(row)}: the label is hidden (-1), as in GLUE's test sets; "
                f"{title} is evaluated on its validation split"
            )
            raise JobError("missing-labels", message, field)
        if GLUE[data.glue].labels is None and not low <= _number(label) <= high:
            message = f"{table.where(row)}: {label!r:.60} is not a score from {low:g} to {high:g}"
            raise JobError("bad-cell", message, field)


def _number(label: object) -> float:
    try:
        return float(str(label))
    except ValueError:
        return float("nan")


def _layout(
    task: GlueTask, path: Path, header: Sequence[str], field: str
) -> tuple[tuple[str, ...], Reading]:
    """Columns of texts and label in a file, and its file format."""
    for columns in task.column_sets:
        if set(columns) <= set(header):
            return columns, replace(PLAIN, drop_broken=task.name == "qqp", label=columns[-1])
    for columns in task.column_sets:
        if set(columns[:-1]) <= set(header):
            message = (
                f"{path.name} has no labels ('{columns[-1]}'), as GLUE's test sets; it cannot be "
                f"learned from or evaluated on; {task.title} is evaluated on its validation split"
            )
            raise JobError("missing-labels", message, field)
    if task.name == "cola" and len(header) == len(COLA_COLUMNS):
        return ("sentence", "label"), replace(PLAIN, columns=COLA_COLUMNS, layout=task.title)
    needed = " or ".join(listed(columns) for columns in task.column_sets)
    message = f"{path.name} does not have {task.title}'s columns ({needed}); it has: "
    raise JobError("missing-column", message + listed(header), field)


def _of_dev_ids(
    table: Table, ids_file: Path, reading: Reading, field: str, *, wanted: bool
) -> Table:
    """The pairs of sentences that are on the list of development examples, or the others."""
    ids = read_delimited(ids_file, ["1", "2"], field, replace(reading, header=False))
    listed_pairs = set(zip(*ids.columns.values(), strict=True))
    pairs = zip(*(table.columns[name] for name in MSR_IDS), strict=True)
    return _kept(table, ((pair in listed_pairs) == wanted for pair in pairs), None)


def _kept(table: Table, keep: Iterable[bool], note: Callable[[int], str] | None) -> Table:
    """Some rows of a table, with a note on the number of those dropped, if any."""
    rows = [row for row, stays in enumerate(keep) if stays]
    size = len(next(iter(table.columns.values())))
    if len(rows) == size:
        return table
    columns = {name: [cells[row] for row in rows] for name, cells in table.columns.items()}
    places = [row + 1 if table.places is None else table.places[row] for row in rows]
    selected = replace(table, columns=columns, places=places)
    return selected if note is None else _noted(selected, note(size - len(rows)))


def _noted(table: Table, note: str) -> Table:
    return replace(table, notes=(*table.notes, note))
