"""Tables of other tools, read line by line: columns by name, errors with the line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_FIELDS = 500


class ImportFileError(ValueError):
    """A file or one of its lines cannot be imported.

    Attributes:
        line: The line, from 1; None if the whole file is meant.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


MOST_CHARACTERS = 131_072
"""Longest field: the limit of the module csv by default."""

TOO_LONG = f"a field has more than {MOST_CHARACTERS:,} characters"


def rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a table with a header, each with its line; empty lines are skipped.

    Args:
        lines: Lines of the file.
        delimiter: Separates the fields.

    Raises:
        ImportFileError: If the header or a row is damaged.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=delimiter == ",")
    header: list[str] | None = None
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if "field larger" in str(error):
                raise ImportFileError(TOO_LONG, first) from error
            raise ImportFileError(f"it is not a table: {error}", first) from error
        if fields is None:
            return
        # The limit of the module csv is one for all of its users in a process.
        if any(len(field) > MOST_CHARACTERS for field in fields):
            raise ImportFileError(TOO_LONG, first)
        if not any(field.strip() for field in fields):
            continue
        if header is None:
            header = _header(fields, first, delimiter)
            continue
        if len(fields) != len(header):
            hint = (
                "; if a name contains '|', drop its column (JobName) from sacct's --format"
                if delimiter == "|" and len(fields) > len(header)
                else ""
            )
            raise ImportFileError(
                f"it has {len(fields)} fields, but the header has {len(header)}{hint}", first
            )
        yield first, dict(zip(header, fields, strict=True))


OTHERS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "vertical bars"}
"""Delimiters of tables."""


def other_delimiter(header: str, delimiter: str) -> str | None:
    """The error in a header whose columns another delimiter separates; None if none does."""
    actual = next((each for each in OTHERS if header.count(each) > 1 and each != delimiter), None)
    if actual is None or delimiter in header:
        return None
    return f"its columns are separated by {OTHERS[actual]}: save it with {OTHERS[delimiter]}"


def _header(fields: Sequence[str], line: int, delimiter: str) -> list[str]:
    names = [field.strip() for field in fields]
    if len(names) == 1 and (problem := other_delimiter(names[0], delimiter)):
        raise ImportFileError(problem, line)
    if len(names) > MAX_FIELDS:
        raise ImportFileError(f"the header has {len(names)} columns", line)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ImportFileError(f"the header has the column {min(twice)!r} twice", line)
    return names


def require_columns(row: Mapping[str, str], *names: str) -> None:
    """Requires columns of a table.

    Raises:
        ImportFileError: If some are missing; names them.
    """
    missing = [name for name in names if name not in row]
    if missing:
        raise ImportFileError(f"the header has no column {', '.join(missing)}")
