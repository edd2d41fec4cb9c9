"""CSV: one line per run and stage, plain figures, units in the header line."""

from __future__ import annotations

import csv
import io
from typing import Any

from app.reports.shape import Context
from app.reports.text import clean

MEDIA_TYPE = "text/csv; charset=utf-8"

# A spreadsheet interprets a text with such a beginning as a formula, also in full-width form.
_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def cell(value: Any) -> str:
    """One field: numbers unchanged, unknown figures empty, texts never as a formula."""
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
