"""Rows of a local table: csv, tsv, json lines, parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from workers.job import JobError

MAX_FIELD_CHARS = 10_000_000

Columns = dict[str, list[Any]]


def read_columns(path: Path, names: Sequence[str], field: str) -> Columns:
    """The named columns of a table, as lists of equal length.

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
        return _read_delimited(path, names, field, tabs=suffix != ".csv")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"is not UTF-8 text ({error.reason})", field) from error
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror or error})", field) from error


def _unreadable(path: Path, what: str, field: str) -> JobError:
    return JobError("unreadable-data", f"{path.name} {what}", field)


def require_columns(names: Sequence[str], there: Iterable[str], source: str, field: str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        JobError: ``missing-column``, telling the columns that there are.
    """
    known = list(there)
    for name in names:
        if name not in known:
            raise JobError(
                "missing-column",
                f"{source} has no column '{name}'; it has: {', '.join(known) or 'none'}",
                field,
            )


def _read_delimited(path: Path, names: Sequence[str], field: str, *, tabs: bool) -> Columns:
    csv.field_size_limit(MAX_FIELD_CHARS)
    with path.open(encoding="utf-8-sig", newline="\n" if tabs else "") as handle:
        rows: Iterator[list[str]] = (
            (line.rstrip("\r\n").split("\t") for line in handle)
            if tabs
            else csv.reader(handle, strict=True)
        )
        try:
            header = next(rows, [])
            require_columns(names, header, path.name, field)
            places = [header.index(name) for name in names]
            columns: Columns = {name: [] for name in names}
            for number, row in enumerate(rows, start=2):
                if row in ([], [""]):
                    continue
                if len(row) != len(header):
                    what = f"has {len(row)} fields in row {number}, its header {len(header)}"
                    raise _unreadable(path, what, field)
                for name, place in zip(names, places, strict=True):
                    columns[name].append(row[place])
        except csv.Error as error:
            raise _unreadable(path, f"is no valid csv: {error}", field) from error
    return columns


def _read_json(path: Path, names: Sequence[str], field: str) -> Columns:
    columns: Columns = {name: [] for name in names}
    for number, row in _json_rows(path, field):
        if not isinstance(row, dict):
            raise _unreadable(path, f"has no object in row {number}", field)
        require_columns(names, row, f"{path.name}, row {number},", field)
        for name in names:
            columns[name].append(row[name])
    return columns


def _json_rows(path: Path, field: str) -> Iterator[tuple[int, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), start=1)
            return
    except json.JSONDecodeError as error:
        raise _unreadable(path, f"is no valid JSON: {error}", field) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                what = f"is no valid JSON in line {number}: {error.msg}"
                raise _unreadable(path, what, field) from error


def _read_parquet(path: Path, names: Sequence[str], field: str) -> Columns:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        require_columns(names, file.schema_arrow.names, path.name, field)
        table = file.read(columns=list(names))
    except pyarrow.ArrowInvalid as error:
        raise _unreadable(path, f"is no valid parquet: {error}", field) from error
    return {name: table.column(name).to_pylist() for name in names}
