"""Rows of a local table: csv, tsv, text, json, json lines, parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pricetag.recipes.tables import JSON_SUFFIXES, table_suffix
from workers.job.request import JobError
from workers.training.data.delimited import read_delimited, read_labeled_lines
from workers.training.data.json_rows import is_absent, nested, read_json
from workers.training.data.reading import (
    PLAIN,
    Columns,
    Reading,
    Table,
    require_columns,
    unreadable,
)

__all__ = ["PLAIN", "Reading", "Table", "read_table", "require_columns"]


def read_table(path: Path, names: Sequence[str], field: str, reading: Reading = PLAIN) -> Table:
    r"""The named columns of a file.

    Tab-separated text has no quoting: a stray quote is a character. A byte order mark, the line
    ends ``\n``, ``\r\n`` and ``\r``, and files packed with gzip are accepted.

    Raises:
        JobError: ``unreadable-data`` with the line, ``missing-column`` with the existing columns;
            both with options to try.
    """
    suffix = table_suffix(path.name)
    if suffix == ".parquet":
        return _read_parquet(path, names, field)
    if suffix in JSON_SUFFIXES:
        return read_json(path, names, field, reading)
    if reading.label_separator is not None:
        return read_labeled_lines(path, names, field, reading)
    return read_delimited(path, names, field, reading)


def _read_parquet(path: Path, names: Sequence[str], field: str) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        present = file.schema_arrow.names
        tops = [_top_column(name, present) for name in names]
        require_columns(tops, present, path.name, field)
        table = file.read(columns=list(dict.fromkeys(tops)))
    except pyarrow.ArrowInvalid as error:
        raise unreadable(path, f"is not valid parquet: {error}", field) from error
    except OSError as error:
        raise unreadable(path, f"cannot be read ({error.strerror or error})", field) from error
    columns: Columns = {}
    for name, top in zip(names, tops, strict=True):
        cells = table.column(top).to_pylist()
        columns[name] = cells if top == name else [nested({top: cell}, name) for cell in cells]
        if any(map(is_absent, columns[name])):
            raise JobError("missing-column", f"{path.name} has no column '{name}'", field)
    return Table(columns)


def _top_column(name: str, present: Sequence[str]) -> str:
    """The column of the file for ``meta.label``: the same, or ``meta``."""
    top = name.partition(".")[0]
    return top if name not in present and top in present else name
