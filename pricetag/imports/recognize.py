"""Which tool wrote a file, from its first lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from pricetag.imports import carbontracker, codecarbon, eco2ai, sacct, tables, zeus
from pricetag.imports.imported import Imported
from pricetag.imports.source import Skipped, Source
from pricetag.imports.tables import ImportFileError

Read = Callable[[Source], Iterator[Imported | Skipped]]

READERS: Mapping[str, Read] = {
    "codecarbon": codecarbon.read,
    "carbontracker": carbontracker.read,
    "zeus": zeus.read,
    "eco2ai": eco2ai.read,
    "sacct": sacct.read,
}
"""Formats by name."""

TABLES = {
    "codecarbon": (codecarbon.MARKS, ","),
    "zeus": (zeus.MARKS, ","),
    "eco2ai": (eco2ai.MARKS, ","),
    "sacct": (sacct.MARKS, "|"),
}
LOOKED_AT = 200
"""Number of lines of a log that are looked at."""


def format_of(source: Source) -> str:
    """The format of a file.

    Raises:
        ImportFileError: If it is none of those that can be imported.
        OSError: If it cannot be read.
    """
    lines = list(islice(source.lines(), LOOKED_AT))
    header = next((line for line in lines if line.strip()), "")
    if not header:
        raise ImportFileError("the file is empty")
    for name, (marks, delimiter) in TABLES.items():
        columns = {column.strip().strip('"') for column in header.split(delimiter)}
        if marks <= columns:
            return name
    if any(mark.search(line) for line in lines for mark in carbontracker.MARKS):
        return "carbontracker"
    for marks, delimiter in TABLES.values():
        problem = tables.other_delimiter(header, delimiter)
        if problem and all(mark in header for mark in marks):
            raise ImportFileError(problem)
    missing = [column for column in sacct.COLUMNS if column not in header.split("|")]
    if header.count("|") >= 3 and any(name in header.split("|") for name in sacct.HEADS):
        raise ImportFileError(
            f"this looks like the output of sacct without the columns {', '.join(missing)}: add "
            "them to its --format"
        )
    if header.count("|") >= 3:
        raise ImportFileError(
            "this looks like the output of sacct without its header: run it without --noheader, "
            f"with at least the columns {', '.join((sacct.IDS[0], *sacct.COLUMNS))}"
        )
    known = [f"{name} ({', '.join(sorted(marks))})" for name, (marks, _) in TABLES.items()]
    raise ImportFileError(
        "its format is not known: it has neither the columns of "
        f"{'; '.join(known)}"
        "; nor lines of a log of carbontracker"
    )
