"""Published rows of a paper: options of commands, and tables (CSV) with rows entered by hand."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pricetag.cli.console import EXIT_USAGE, CliError

TEXTS = frozenset(
    {"model", "hardware", "part", "currency", "source", "source_url", "basis", "note"}
)
"""Columns with texts; all others are numbers."""

PublishedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--published",
        metavar="ID",
        help="Published rows of the catalog to compare with (repeatable): an ID such as "
        "strubell2019-nas, or a publication such as strubell2019.",
    ),
]
RowsOption = Annotated[
    Path | None,
    typer.Option(
        "--rows",
        metavar="FILE",
        help="Table (CSV) of further published rows, with the fields of `entered` in POST "
        "/v1/papers as its columns: model, hardware, hours, source, year, ...",
    ),
]


def published_fields(published: list[str] | None, rows: Path | None) -> dict[str, Any]:
    """The fields of a request for the options that were used.

    Raises:
        CliError: If the table cannot be read.
    """
    fields: dict[str, Any] = {}
    if published:
        fields["published"] = published
    if rows is not None:
        fields["entered"] = entered_rows(rows)
    return fields


def entered_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a table; empty cells are omitted.

    Raises:
        CliError: If it cannot be read, or a number is none.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            lines = list(csv.DictReader(opened, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CliError(f"cannot read {file}: {reason}", EXIT_USAGE) from error
    if not lines:
        raise CliError(f"{file} has no rows below its line of column names", EXIT_USAGE)
    return [_row(file, number, line) for number, line in enumerate(lines, 1)]


def _row(file: Path, number: int, line: Mapping[str | None, Any]) -> dict[str, Any]:
    if None in line or None in line.values():
        raise CliError(f"{file}, row {number}: must have a cell for each column", EXIT_USAGE)
    row: dict[str, Any] = {}
    for name, cell in line.items():
        text = str(cell).strip()
        if text:
            row[str(name)] = text if name in TEXTS else _number(file, number, str(name), text)
    return row


def _number(file: Path, number: int, name: str, text: str) -> int | float:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    raise CliError(f"{file}, row {number}, {name}: must be a number (got {text!r})", EXIT_USAGE)
