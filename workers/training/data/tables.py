"""Rows of a local table: csv, tsv, json lines, parquet."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.job.request import JobError

MAX_FIELD_CHARS = 10_000_000

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
    """How delimited text is written.

    Attributes:
        columns: Names of all columns where there is no header line.
        encoding: Of the text.
        separator: Between cells; None: a comma in .csv, else a tab.
    """

    columns: Sequence[str] | None = None
    encoding: str = "utf-8"
    separator: str | None = None


PLAIN = Reading()


def read_table(path: Path, names: Sequence[str], field: str, reading: Reading = PLAIN) -> Table:
    """The named columns of a file.

    Tab-separated text has no quoting: a stray quote is a character. A byte order mark and
    CRLF line ends are accepted.

    Raises:
        JobError: ``unreadable-data`` with the line, ``missing-column`` with the columns
            that there are.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return _read_parquet(path, names, field)
        if suffix in (".jsonl", ".json"):
            return _read_json(path, names, field)
        return _read_delimited(path, names, field, reading)
    except UnicodeError as error:
        if not isinstance(error, UnicodeDecodeError) or reading.encoding != "utf-8":
            what = f"is not {reading.encoding} text ({error}); check data.encoding"
            raise _unreadable(path, what, field) from error
        before = error.object[: error.start]
        raise _unreadable(path, _not_utf8(path, error.reason, len(before)), field) from error
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror or error})", field) from error


def _not_utf8(path: Path, reason: str, offset: int) -> str:
    """Where text stops being UTF-8: the decoder reads in blocks, so the file is read again."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        offset, reason = error.start, error.reason
    line = content.count(b"\n", 0, offset) + 1
    where = f"line {line}, byte {offset} of the file"
    return f"is not UTF-8 text in {where} ({reason}); name its encoding in data.encoding"


def _unreadable(path: Path, what: str, field: str) -> JobError:
    return JobError("unreadable-data", f"{path.name} {what}", field)


def require_columns(names: Sequence[str], there: Iterable[str], source: str, field: str) -> None:
    """Refuse a table that lacks a column, or has it more than once.

    Raises:
        JobError: ``missing-column``, telling the columns that there are; ``unreadable-data``.
    """
    known = list(there)
    for name in names:
        if name not in known:
            raise JobError(
                "missing-column",
                f"{source} has no column '{name}'; it has: {', '.join(known) or 'none'}",
                field,
            )
        if known.count(name) > 1:
            message = f"{source} has more than one column '{name}': rename all but one"
            raise JobError("unreadable-data", message, field)


def _read_delimited(path: Path, names: Sequence[str], field: str, reading: Reading) -> Table:
    csv.field_size_limit(MAX_FIELD_CHARS)
    quoted = path.suffix.lower() == ".csv"
    separator = reading.separator or ("," if quoted else "\t")
    encoding = "utf-8-sig" if reading.encoding == "utf-8" else reading.encoding
    with path.open(encoding=encoding, newline="" if quoted else "\n") as handle:
        rows = _csv_rows(handle, separator) if quoted else _split_lines(handle, separator)
        try:
            header = list(reading.columns or next(rows, (1, []))[1])
            require_columns(names, header, path.name, field)
            places = [header.index(name) for name in names]
            columns: Columns = {name: [] for name in names}
            lines = array("Q")
            for line, row in rows:
                if row in ([], [""]):
                    continue
                if len(row) != len(header):
                    what = f"has {len(row)} fields in line {line}, its header {len(header)}"
                    raise _unreadable(path, what, field)
                lines.append(line)
                for name, place in zip(names, places, strict=True):
                    columns[name].append(row[place])
        except csv.Error as error:
            raise _unreadable(path, f"is no valid csv: {error}", field) from error
    return Table(columns, "line", lines)


NumberedRow = tuple[int, list[str]]
"""A row with the number of the line on which it begins."""


def _split_lines(handle: Iterable[str], separator: str) -> Iterator[NumberedRow]:
    for line, text in enumerate(handle, start=1):
        yield line, text.rstrip("\r\n").split(separator)


def _csv_rows(handle: Iterable[str], separator: str) -> Iterator[NumberedRow]:
    reader = csv.reader(handle, delimiter=separator, strict=True)
    line = 1
    for row in reader:
        yield line, row
        line = reader.line_num + 1  # a quoted cell may go on over several lines


def _read_json(path: Path, names: Sequence[str], field: str) -> Table:
    text = path.read_text(encoding="utf-8-sig")
    is_array = text.lstrip().startswith("[")
    unit = "row" if is_array else "line"
    columns: Columns = {name: [] for name in names}
    places = array("Q")
    for place, row in (_array_rows if is_array else _line_rows)(text, path, field):
        if not isinstance(row, dict):
            raise _unreadable(path, f"has no object in {unit} {place}", field)
        require_columns(names, row, f"{path.name}, {unit} {place},", field)
        places.append(place)
        for name in names:
            columns[name].append(row[name])
    return Table(columns, unit, places)


def _array_rows(text: str, path: Path, field: str) -> Iterator[tuple[int, Any]]:
    try:
        yield from enumerate(json.loads(text), start=1)
    except (ValueError, RecursionError) as error:
        what = f"is not valid JSON that can be read: {str(error)[:200]}"
        raise _unreadable(path, what, field) from error


def _line_rows(text: str, path: Path, field: str) -> Iterator[tuple[int, Any]]:
    for line, one in enumerate(text.split("\n"), start=1):
        if one.strip():
            try:
                yield line, json.loads(one)
            except json.JSONDecodeError as error:
                what = f"is no valid JSON in line {line}: {error.msg}"
                raise _unreadable(path, what, field) from error
            except (ValueError, RecursionError) as error:  # thousands of digits, or of levels
                message = f"line {line}: cannot be read as JSON: {str(error)[:200]}"
                raise JobError("bad-cell", message, field) from error


def _read_parquet(path: Path, names: Sequence[str], field: str) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        require_columns(names, file.schema_arrow.names, path.name, field)
        table = file.read(columns=list(names))
    except pyarrow.ArrowInvalid as error:
        raise _unreadable(path, f"is no valid parquet: {error}", field) from error
    return Table({name: table.column(name).to_pylist() for name in names})
