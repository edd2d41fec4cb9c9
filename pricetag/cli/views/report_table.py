"""A table of a report on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricetag.cli.views.tables import Figures, FittedTable


def report_table(table: Mapping[str, Any]) -> list[Any]:
    """The caption, the table and its notes; columns that do not fit follow below.

    Args:
        table: A table of a report's content, names in its first column.
    """
    first, *others = table["columns"]
    rows = [row["cells"] for row in table["rows"]]
    columns = [
        Figures(_broken(column["label"]), [row[number] for row in rows])
        for number, column in enumerate(others, start=1)
    ]
    names = [row[0] for row in rows]
    return [
        table["caption"],
        "",
        FittedTable(first["label"], names, columns),
        "",
        *table["notes"],
        "",
    ]


def _broken(head: str) -> str:
    """A head whose part in brackets has its own line, so that its column stays narrow."""
    name, bracket, unit = head.partition(" (")
    return f"{name}\n{bracket.strip()}{unit}" if bracket else head.replace(" per ", "\nper ")
