"""The types of a report's context: sections of paragraphs and tables, plus plain figures.

A context is JSON, so that it is stored with the report, and the six formats can be rendered again
from it, unchanged, at any time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from pricetag.tag.footnotes import letter, marked, shared_reasons

_NOTE = re.compile(r"\(([a-z]+)\) (.+)", re.DOTALL)

Profile = Literal["strubell2019", "site"]
Format = Literal["html", "pdf", "tex", "md", "csv", "json"]
Align = Literal["left", "right"]


class Column(TypedDict):
    """A table column; ``weight`` is its share of the width if text has to wrap."""

    label: str
    align: Align
    weight: float


class Row(TypedDict):
    """A table row; ``total`` rows are separated from the others."""

    cells: list[str]
    total: bool


class Table(TypedDict):
    """A table with a caption above and notes below."""

    id: str
    caption: str
    columns: list[Column]
    rows: list[Row]
    notes: list[str]


class Section(TypedDict):
    """A section of the report with a heading."""

    id: str
    heading: str
    paragraphs: list[str]
    tables: list[Table]


class ModelCard(TypedDict):
    """The fields of ``co2_eq_emissions`` in Hugging Face's model cards; emissions in grams."""

    emissions_g: float | None
    reason: str | None
    source: str
    training_type: str | None
    geographical_location: str | None
    hardware_used: str | None


class Context(TypedDict):
    """The content of a report."""

    schema: str
    title: str
    profile: str
    profile_label: str
    generated_at: str  # ISO 8601
    generated_label: str
    lead: str
    sections: list[Section]
    model_card: ModelCard
    line_columns: list[str]  # the order of the figures below, which a database may lose
    lines: list[dict[str, Any]]  # one per run and stage, plain figures, units in the keys
    quality: list[dict[str, Any]]  # all metrics of the stages, unrounded
    runs: list[dict[str, Any]]  # the Strubell figures of all runs, unrounded
    totals: dict[str, Any]
    factors: list[dict[str, Any]]


def column(label: str, align: Align = "left", weight: float = 1.0) -> Column:
    """A column of a table."""
    return {"label": label, "align": align, "weight": weight}


def row(*cells: str, total: bool = False) -> Row:
    """A row of a table."""
    return {"cells": list(cells), "total": total}


def table(
    id_: str,
    caption: str,
    columns: Sequence[Column],
    rows: list[Row],
    notes: list[str] | None = None,
) -> Table:
    """A table. A reason that several unknown figures share becomes a note.

    Raises:
        ValueError: If the number of cells in a row differs from the number of columns.
    """
    for index, item in enumerate(rows):
        if len(item["cells"]) != len(columns):
            raise ValueError(
                f"table {id_}, row {index}: {len(item['cells'])} cells, {len(columns)} columns"
            )
    rows, notes = _with_notes(rows, notes or [])
    return {"id": id_, "caption": caption, "columns": list(columns), "rows": rows, "notes": notes}


def _with_notes(rows: list[Row], notes: list[str]) -> tuple[list[Row], list[str]]:
    """Rows and notes in which no reason is repeated; letters continue after those in use."""
    lettered = (match for note in notes if (match := _NOTE.fullmatch(note)) is not None)
    marks = {match[2]: f"({match[1]})" for match in lettered}
    cells = [cell for item in rows for cell in item["cells"]]
    added = [reason for reason in shared_reasons(cells, marks) if reason not in marks]
    marks |= {reason: f"({letter(len(marks) + i)})" for i, reason in enumerate(added)}
    shown = [row(*(marked(cell, marks) for cell in r["cells"]), total=r["total"]) for r in rows]
    return shown, [*notes, *(f"{marks[reason]} {reason}" for reason in added)]
