"""Rows of csv and tab-separated text, and lines that begin with their label."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pricetag.recipes.tables import table_suffix
from pricetag.tag.figures import counted
from workers.training.data import hints
from workers.training.data.reading import Columns, Reading, Table, require_columns, unreadable
from workers.training.data.text_files import line_end, open_text

MAX_FIELD_CHARS = 10_000_000
_SUB_LABEL = re.compile(r"[A-Za-z0-9_-]*")
MAX_SUB_LABELS = 200

NumberedRow = tuple[int, list[str]]
"""A row with the number of the line on which it begins."""


def read_delimited(path: Path, names: Sequence[str], field: str, reading: Reading) -> Table:
    """The named columns of a csv, tsv or txt file.

    Raises:
        JobError: ``unreadable-data`` with the line; ``missing-column`` with options to try.
    """
    quoted = table_suffix(path.name) == ".csv" and reading.quotes
    separator = reading.separator or ("," if table_suffix(path.name) == ".csv" else "\t")
    newline = "" if quoted else line_end(path, reading.encoding, field)
    csv.field_size_limit(MAX_FIELD_CHARS)
    with open_text(path, reading.encoding, newline, field) as handle:
        rows = (
            _csv_rows(handle, separator, path, field) if quoted else _split_lines(handle, separator)
        )
        rows = (row for row in rows if row[1] not in ([], [""]))
        first = next(rows, None)
        if first is None and (reading.columns or not reading.header):
            return Table({name: [] for name in names}, "line", [])
        cells = first[1] if first else []
        header = _header(cells, reading)
        if reading.columns is not None:
            require_columns(names, header, "data.columns", field)
        elif not set(names) <= set(header):
            raise hints.missing_column(path, names, header, separator, reading, field)
        require_columns(names, header, path.name, field)
        if first and (reading.columns or not reading.header):
            rows = _with_first(first, rows)
        return _collect(rows, names, header, reading, path, field)


def first_row(path: Path, encoding: str, field: str) -> list[str]:
    """The cells of the first line that is not empty, of tab-separated text."""
    with open_text(path, encoding, line_end(path, encoding, field), field) as handle:
        rows = (row for _, row in _split_lines(handle, "\t") if row != [""])
        return next(rows, [])


def _header(cells: list[str], reading: Reading) -> list[str]:
    """Names of all columns."""
    if reading.columns is not None:
        return list(reading.columns)
    return cells if reading.header else [str(number + 1) for number in range(len(cells))]


def _with_first(first: NumberedRow, rows: Iterator[NumberedRow]) -> Iterator[NumberedRow]:
    yield first
    yield from rows


def _collect(
    rows: Iterable[NumberedRow],
    names: Sequence[str],
    header: Sequence[str],
    reading: Reading,
    path: Path,
    field: str,
) -> Table:
    there = "its header" if reading.header else "line 1"
    if reading.columns:
        there = reading.layout or "data.columns"
    verb = "names" if there == "data.columns" else "has"
    places = [header.index(name) for name in names]
    columns: Columns = {name: [] for name in names}
    lines = array("Q")
    broken: list[int] = []
    for line, row in rows:
        if len(row) != len(header):
            if reading.drop_broken:
                broken.append(line)
                continue
            fields = counted(len(row), "field")
            problem = f"has {fields} in line {line}, but {there} {verb} {len(header)}"
            raise unreadable(path, problem, field)
        lines.append(line)
        for name, place in zip(names, places, strict=True):
            columns[name].append(row[place])
    notes: tuple[str, ...] = ()
    if broken:
        notes = (f"{counted(len(broken), 'broken row')} dropped, first: line {broken[0]}",)
    return Table(columns, "line", lines, notes=notes)


def _split_lines(handle: Iterable[str], separator: str) -> Iterator[NumberedRow]:
    for line, text in enumerate(handle, start=1):
        yield line, text.rstrip("\r\n").split(separator)


def _csv_rows(
    handle: Iterable[str], separator: str, path: Path, field: str
) -> Iterator[NumberedRow]:
    """Rows of quoted csv; a quoted cell may span several lines."""
    lines: list[str] = []  # lines of the current row

    def remembered() -> Iterator[str]:
        for text in handle:
            lines.append(text)
            yield text

    reader = csv.reader(remembered(), delimiter=separator, strict=True)
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            fault = hints.quote_fault(lines, line, separator, str(error))
            raise unreadable(path, fault, field) from error
        if row is None:
            return
        yield line, row
        line = reader.line_num + 1
        lines.clear()


def read_labeled_lines(path: Path, names: Sequence[str], field: str, reading: Reading) -> Table:
    """Lines that begin with their label: ``3 a fine film``, ``DESC:manner How did it start ?``.

    After a colon the rest of the first word is a sub-label. It is not part of the text, since it
    would reveal the label.

    Raises:
        JobError: ``unreadable-data`` with the line.
    """
    separator = reading.label_separator
    assert separator is not None
    labels: list[str] = []
    texts: list[str] = []
    lines = array("Q")
    sub_labels: set[str] = set()
    newline = line_end(path, reading.encoding, field)
    with open_text(path, reading.encoding, newline, field) as handle:
        for line, content in enumerate(handle, start=1):
            if not content.strip():
                continue
            label, mark, text = content.strip().partition(separator)
            if separator == ":" and mark:
                sub, _, text = text.partition(" ")
                sub_labels.add(sub)
                if not _SUB_LABEL.fullmatch(sub) or len(sub_labels) > MAX_SUB_LABELS:
                    problem = (
                        f"has {sub!r:.60} right after the colon in line {line}, which is not a "
                        "sub-label; put a space after the colon where the text begins there"
                    )
                    raise unreadable(path, problem, field)
            if not mark or not label.strip() or not text.strip():
                missing = "text after its label" if mark and label.strip() else "label"
                problem = f"has no {missing} in line {line}: label_separator is {separator!r}"
                raise unreadable(path, problem, field)
            labels.append(label.strip())
            texts.append(text.strip())
            lines.append(line)
    columns: Columns = {name: labels if name == reading.label else texts for name in names}
    return Table(columns, "line", lines)
