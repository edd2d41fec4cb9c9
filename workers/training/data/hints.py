"""Suggestions in messages about tables: the option of ``data`` that reads the file."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from workers.job.request import JobError
from workers.training.data.reading import Reading, listed
from workers.training.data.text_files import line_end, open_text

SAMPLE_LINES = 200
SAMPLE_CHARS = 4000
_SEPARATORS = ("\t", ";", "|", ",")
_SUB_LABELED = re.compile(r"[^\s:]{1,40}:[A-Za-z0-9_-]*\s+\S")
_LABELED = re.compile(r"(-?\d{1,3}|__label__\S+) \S")
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Roles:
    """The columns that the job reads: texts, and the label."""

    texts: Sequence[str]
    label: str

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return [*self.texts, self.label]


def missing_column(
    path: Path,
    names: Sequence[str],
    header: Sequence[str],
    separator: str,
    reading: Reading,
    field: str,
) -> JobError:
    """The error of a file whose first line does not name the columns of the job.

    Args:
        path: The file.
        names: The columns that the job reads.
        header: The cells of the first line.
        separator: Separator of the cells as the file was read.
        reading: Options that the file was read with.
        field: The option that names the file.
    """
    missing = next(name for name in names if name not in header)
    lines = _sample(path, reading.encoding, field)
    roles = Roles([name for name in names if name != reading.label], reading.label)
    hint = (
        _case_hint(missing, header)
        or _separator_hint(lines, roles, separator)
        or _label_hint(lines, roles)
        or _header_hint(lines, roles, header, separator, reading)
    )
    message = f"{path.name} has no column '{missing}'; it has: {listed(header)}"
    return JobError("missing-column", message + hint, field)


def quote_fault(lines: Sequence[str], first: int, separator: str, reason: str) -> str:
    """The fault in the quotes of a csv row, and the place where its last quoted cell began.

    Args:
        lines: Lines of the row, as far as it was read.
        first: Number of the first line.
        separator: Separator of the cells.
        reason: Message of the reader.
    """
    line, column = _last_quote(lines, separator)
    unclosed = "field larger" in reason or "unexpected end" in reason
    how = "is never closed" if unclosed else "is closed before its cell ends"
    return (
        f"is not valid csv in line {first + max(0, len(lines) - 1)}: the quote that opens in line "
        f"{first + line}, column {column} {how}; a quotation mark in a quoted cell is written "
        "twice; if quotes are ordinary characters in this file, add quote: none"
    )


def _last_quote(lines: Sequence[str], separator: str) -> tuple[int, int]:
    """Index of the line, and column from 1, of the quote that opened last."""
    opened = (0, 1)
    state = "start"  # of a cell; "inside" of quotes; "closed", perhaps by half of a double quote
    for number, text in enumerate(lines):
        for column, letter in enumerate(text, start=1):
            if state == "inside":
                state = "closed" if letter == '"' else state
            elif letter == '"' and state in ("start", "closed"):
                opened = (number, column) if state == "start" else opened
                state = "inside"
            else:
                state = "start" if letter == separator or letter in "\r\n" else "plain"
    return opened


def _sample(path: Path, encoding: str, field: str) -> list[str]:
    with open_text(path, encoding, line_end(path, encoding, field), field) as handle:
        lines = [text.rstrip("\r\n") for text in islice(handle, SAMPLE_LINES)]
    return [text for text in lines if text.strip()]


def _case_hint(missing: str, header: Sequence[str]) -> str:
    alike = [name for name in header if name.strip().casefold() == missing.strip().casefold()]
    return f"; column names are matched exactly: use '{alike[0]}'" if alike else ""


def _separator_hint(lines: Sequence[str], roles: Roles, separator: str) -> str:
    """A hint for cells with another separator than the one that was used."""
    others = [other for other in _SEPARATORS if other != separator]
    for other in others:
        cells = [cell.strip('"') for cell in lines[0].split(other)] if lines else []
        if len(cells) > 1 and set(roles.names) <= set(cells):
            return f"; add separator: {json.dumps(other)}"
    own_width = _width(lines, separator)
    for other in others:
        width = _width(lines, other)
        # Texts hold commas and semicolons, but hardly tabs.
        if width >= len(roles.names) and (own_width <= 1 or other == "\t"):
            guess = _columns_guess([line.split(other) for line in lines], width, roles)
            return (
                "; if it has no header line and another separator, add "
                f"separator: {json.dumps(other)} and {guess}"
            )
    return ""


def _width(lines: Sequence[str], separator: str) -> int:
    """Cells of each line, where all lines have the same number; else 0."""
    counts = {line.count(separator) + 1 for line in lines}
    return counts.pop() if len(counts) == 1 else 0


def _label_hint(lines: Sequence[str], roles: Roles) -> str:
    """For lines without columns that begin with their label."""
    if len(roles.texts) != 1 or not lines:
        return ""
    for pattern, separator in ((_SUB_LABELED, ":"), (_LABELED, " ")):
        if all(pattern.match(line) for line in lines):
            return f'; if its lines begin with their label, add label_separator: "{separator}"'
    return ""


def _header_hint(
    lines: Sequence[str],
    roles: Roles,
    header: Sequence[str],
    separator: str,
    reading: Reading,
) -> str:
    """For a file whose first row was read as its header, or whose columns have no names."""
    if len(header) < len(roles.names) or set(roles.names) & set(header):
        return ""
    rows: list[list[str]] = [line.split(separator) for line in lines]
    if separator == "," and reading.quotes:
        rows = list(csv.reader(lines))
    guess = _columns_guess(rows, len(header), roles)
    if not reading.header:
        return f"; use these as data.text and data.label, or add {guess}"
    return (
        "; if this is a header line, name its columns in data.text and data.label; if it is a "
        f"row (line 1) and the file has no header line, add {guess}"
    )


def _columns_guess(rows: Sequence[Sequence[str]], width: int, roles: Roles) -> str:
    """The option ``columns``: the longest cells are texts, few different short ones labels."""
    full = [row for row in rows if len(row) == width]
    cells = [[row[place] for row in full] for place in range(width)]
    by_length = sorted(range(width), key=lambda place: -sum(map(len, cells[place])))
    places = by_length[: len(roles.texts)]
    guess = dict(zip(sorted(places), roles.texts, strict=False))
    unassigned = [place for place in range(width) if place not in guess]
    if unassigned:
        guess[min(unassigned, key=lambda place: _unlike_label(cells[place]))] = roles.label
    columns = [guess.get(place, f"column_{place + 1}") for place in range(width)]
    written = [name if _PLAIN_NAME.fullmatch(name) else json.dumps(name) for name in columns]
    return f"columns: [{', '.join(written)}] (names in the order of the cells)"


def _unlike_label(cells: Sequence[str]) -> tuple[bool, bool, int, bool]:
    different = len(set(cells))
    numbers = all(cell.lstrip("-").isdecimal() for cell in cells)
    return (not all(cells), different < 2, different, not numbers)
