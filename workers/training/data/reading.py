"""What is read of a table and how it is written; the errors that all formats share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.job.request import JobError

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and where each of their rows stands.

    Attributes:
        unit: What ``places`` counts: ``line`` of a text file, else ``row`` from 1.
        places: By row; None where rows are counted without a gap.
        classes: Names of the label column's classes in order, where the data set has them.
    """

    columns: Columns
    unit: str = "row"
    places: Sequence[int] | None = None
    classes: tuple[str, ...] | None = None

    def where(self, index: int) -> str:
        """How a message names a row: ``line 66``."""
        return f"{self.unit} {index + 1 if self.places is None else self.places[index]}"


@dataclass(frozen=True)
class Reading:
    """How the files of a data set are written.

    Attributes:
        columns: Names of all columns where there is no header line.
        encoding: Of the text.
        separator: Between cells; None: a comma in .csv, else a tab.
        header: Whether the first line names the columns.
        quotes: Whether csv is quoted.
        label_separator: Ends the label at the start of lines that have no columns.
        records: Key of a JSON object that holds the rows.
        label: The column that is the label, for lines without columns.
    """

    columns: Sequence[str] | None = None
    encoding: str = "utf-8"
    separator: str | None = None
    header: bool = True
    quotes: bool = True
    label_separator: str | None = None
    records: str | None = None
    label: str = "label"


PLAIN = Reading()


def unreadable(path: Path, what: str, field: str) -> JobError:
    """The error of a file that cannot be read: ``t.csv is cut off``."""
    return JobError("unreadable-data", f"{path.name} {what}", field)


def require_columns(names: Sequence[str], there: Iterable[str], source: str, field: str) -> None:
    """Reject a table that has no such column, or has it more than once.

    Raises:
        JobError: ``missing-column`` with the columns that there are; ``unreadable-data``.
    """
    present = list(there)
    for name in names:
        if name not in present:
            raise JobError(
                "missing-column",
                f"{source} has no column '{name}'; it has: {listed(present)}",
                field,
            )
        if present.count(name) > 1:
            message = f"{source} has more than one column '{name}': rename all but one"
            raise JobError("unreadable-data", message, field)


def listed(names: Sequence[str]) -> str:
    """Column names as a message shows them."""
    shown = [name if len(name) <= 60 else f"{name[:60]}..." for name in names[:30]]
    return ", ".join(shown + ["..."] * (len(names) > 30)) or "none"
