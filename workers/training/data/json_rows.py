"""Rows of JSON: one object per line, a list of objects, or an object that contains the list."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pricetag.recipes.tables import table_suffix
from pricetag.strict_json import distinct_keys
from workers.job.request import JobError
from workers.training.data.reading import Columns, Reading, Table, listed, unreadable
from workers.training.data.text_files import open_text

_ABSENT = object()


def read_json(path: Path, names: Sequence[str], field: str, reading: Reading) -> Table:
    """The named columns; ``meta.label`` is the value ``label`` of the object ``meta``.

    Raises:
        JobError: ``unreadable-data`` with the line or row; ``missing-column``.
    """
    with open_text(path, reading.encoding, None, field) as handle:
        if table_suffix(path.name) == ".json":
            unit, rows = _of_json(handle.read(), path, field, reading.records)
        else:
            unit, rows = "line", _line_rows(handle, path, field)
        return _collect(rows, unit, path, names, field)


def _collect(
    rows: Iterable[tuple[int, Any]], unit: str, path: Path, names: Sequence[str], field: str
) -> Table:
    columns: Columns = {name: [] for name in names}
    places = array("Q")
    for place, row in rows:
        if not isinstance(row, dict):
            raise unreadable(path, f"has no object in {unit} {place}", field)
        places.append(place)
        for name in names:
            value = nested(row, name)
            if value is _ABSENT:
                raise _missing(path, f"{unit} {place}", row, name, field)
            columns[name].append(value)
    return Table(columns, unit, places)


def nested(row: Any, name: str) -> Any:
    """The value of a key, or of keys joined by dots in objects within objects."""
    while isinstance(row, dict):
        if name in row:
            return row[name]
        head, dot, name = name.partition(".")
        if not dot or head not in row:
            break
        row = row[head]
    return _ABSENT


def is_absent(value: object) -> bool:
    """Whether ``nested`` found no such key."""
    return value is _ABSENT


def _missing(path: Path, where: str, row: dict[str, Any], name: str, field: str) -> JobError:
    message = f"{path.name}, {where}, has no column '{name}'; it has: {listed(_names(row))}"
    return JobError("missing-column", message + _records_hint(row), field)


def _names(row: dict[str, Any], before: str = "", depth: int = 0) -> list[str]:
    """Names of all columns, those of inner objects with dots."""
    names = []
    for key, value in row.items():
        if isinstance(value, dict) and value and depth < 5:
            names += _names(value, f"{before}{key}.", depth + 1)
        else:
            names.append(before + key)
    return names


def _records_hint(row: dict[str, Any]) -> str:
    """The options that read an object's lists as rows."""
    keys = [name for name in _names(row) if _is_rows(nested(row, name))]
    options = " or ".join(f"records: {key}" for key in keys[:5])
    return f"; if that object holds the rows, add {options}" if keys else ""


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _of_json(
    text: str, path: Path, field: str, records: str | None
) -> tuple[str, Iterable[tuple[int, Any]]]:
    """The rows of a .json file, which may also have one object per line."""
    if records is not None:
        return "row", enumerate(_rows_under(_parsed(text, path, field), records, path, field), 1)
    if text.lstrip().startswith("["):
        return "row", enumerate(_parsed(text, path, field), start=1)
    if not _is_json(text.strip().partition("\n")[0]) and _is_json(text):
        document = _parsed(text, path, field)
        if isinstance(document, dict) and (hint := _records_hint(document)):
            problem = f"is one JSON object over several lines, not a list of rows{hint}"
            raise unreadable(path, problem, field)
        return "row", [(1, document)]
    return "line", _line_rows(text.split("\n"), path, field)


def _rows_under(document: Any, records: str, path: Path, field: str) -> list[Any]:
    value = nested(document, records)
    if isinstance(value, list):
        return value
    there = listed(_names(document)) if isinstance(document, dict) else "a list: remove records"
    problem = f"has no list of rows under '{records}' (data.records); it has: {there}"
    hint = _records_hint(document) if isinstance(document, dict) else ""
    raise unreadable(path, problem + hint, field)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(text: str, path: Path, field: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=distinct_keys)
    except (ValueError, RecursionError) as error:
        problem = f"is not valid JSON that can be read: {str(error)[:200]}"
        raise unreadable(path, problem, field) from error


def _line_rows(lines: Iterable[str], path: Path, field: str) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(lines, start=1):
        if text.strip():
            try:
                yield line, json.loads(text, object_pairs_hook=distinct_keys)
            except json.JSONDecodeError as error:
                problem = f"is not valid JSON in line {line}, column {error.colno}: {error.msg}"
                raise unreadable(path, problem, field) from error
            except (
                ValueError,
                RecursionError,
            ) as error:  # many digits or levels, a key twice
                message = f"line {line}: cannot be read as JSON: {str(error)[:200]}"
                raise JobError("bad-cell", message, field) from error
