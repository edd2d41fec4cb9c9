"""A table as read, the options of its file, and the errors that all formats share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.job.request import JobError

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and the place of each row in its file.

    Attributes:
        unit: Unit of ``places``: ``line`` of a text file, else ``row`` from 1.
        places: Place of each row; None where rows are counted without a gap.
        classes: Names of the label column's classes in order, where the data set has them.
        notes: Lines for the log, such as the number of rows that were dropped.
    """

    columns: Columns
    unit: str = "row"
    places: Sequence[int] | None = None
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def where(self, index: int) -> str:
        """The name of a row in messages: ``line 66``."""
        return f"{self.unit} {index + 1 if self.places is None else self.places[index]}"


@dataclass(frozen=True)
class Reading:
    """File format of a data set.

    Attributes:
        columns: Names of all columns where there is no header line.
        layout: The data set whose layout the columns are; None where the job names them.
        encoding: Encoding of the text.
        separator: Separator of the cells; None: a comma in .csv, else a tab.
        header: Whether the first line names the columns.
        quotes: Whether cells of csv may be quoted.
        label_separator: Character after the label, for lines that begin with it.
        records: Key of a JSON object under which the rows are.
        label: Name of the label's column, for lines that begin with their label.
        drop_broken: Whether rows with another number of cells than the header are dropped.
    """

    columns: Sequence[str] | None = None
    layout: str | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    header: bool = True
    quotes: bool = True
    label_separator: str | None = None
    records: str | None = None
    label: str = "label"
    drop_broken: bool = False


PLAIN = Reading()


def unreadable(path: Path, problem: str, field: str) -> JobError:
    """The error of a file that cannot be read: ``t.csv is cut off``."""
    return JobError("unreadable-data", f"{path.name} {problem}", field)


def require_columns(names: Sequence[str], present: Iterable[str], source: str, field: str) -> None:
    """Reject a table without one of the columns, or with two of the same name.

    Raises:
        JobError: ``missing-column`` with the columns of the table; ``unreadable-data``.
    """
    columns = list(present)
    for name in names:
        if name not in columns:
            raise JobError(
                "missing-column",
                f"{source} has no column '{name}'; it has: {listed(columns)}",
                field,
            )
        if columns.count(name) > 1:
            message = f"{source} has more than one column '{name}': rename all but one"
            raise JobError("unreadable-data", message, field)


def listed(names: Sequence[str]) -> str:
    """Column names as a message shows them."""
    shown = [name if len(name) <= 60 else f"{name[:60]}..." for name in names[:30]]
    return ", ".join(shown + ["..."] * (len(names) > 30)) or "none"
