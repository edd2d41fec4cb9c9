"""CSV: one line per run and stage, bare figures, units in the head."""

from __future__ import annotations

import csv
import io
from typing import Any

from app.reports.shape import Context
from app.reports.text import clean

MEDIA_TYPE = "text/csv; charset=utf-8"

# A spreadsheet takes a text that starts so for a formula, full-width forms included.
_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def cell(value: Any) -> str:
    """One field: numbers as they are, an unknown one empty, texts never a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = clean(str(value))
    return "'" + text if text.lstrip().startswith(_FORMULA_STARTS) else text


def render(context: Context) -> bytes:
    """The report's lines as CSV (RFC 4180)."""
    lines, columns = context["lines"], context["line_columns"]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(map(cell, columns))
    writer.writerows([cell(line.get(key)) for key in columns] for line in lines)
    return out.getvalue().encode()
