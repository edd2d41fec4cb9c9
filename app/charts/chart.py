"""A chart: its sentence, its data, and its Vega-Lite document with a hash.

The document has no colors: `drawable` adds those of a theme, and one of two sizes. The rows that
are drawn are a data set of their own, `drawn`, so that table and CSV show exactly these.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from app.charts import theme
from app.charts.theme import Theme

Size = Literal["narrow", "medium", "wide", "full"]
SIZES: tuple[Size, ...] = get_args(Size)
Cell = str | float | int | bool | None
Row = Mapping[str, Cell]

DRAWN = "drawn"
"""Name of the data set with the rows that are drawn."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
WIDTHS: Mapping[Size, int] = {"narrow": 320, "medium": 520, "wide": 760, "full": 1100}
"""Width of a chart in pixels, by its size."""

HEIGHT = 360
MAX_ROWS = 4000
"""Maximum number of rows of a chart; thin longer ones (`app.charts.thinning`)."""

LAB = frozenset[str]()
"""`projects` of a chart that shows only what every viewer of the lab may see."""


class ChartError(ValueError):
    """The parts of a chart contradict one another."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a chart's data.

    Attributes:
        name: Key of its cells.
        title: Its title.
        unit: Unit of all its cells; empty for text and counts.
    """

    name: str
    title: str
    unit: str = ""

    @property
    def heading(self) -> str:
        """Title and unit, as in the CSV."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        kind: What it is, in the name of its files: `frontier`.
        title: Its heading.
        summary: What it shows, in one sentence made from its data.
        columns: Columns of the table and the CSV.
        rows: What is drawn, with the plain values in the units of the columns.
        form: The Vega-Lite document without data; it names the data set `drawn`.
        projects: Names of all projects whose runs it shows: only viewers who may see all of them
            get the picture. `LAB` for what every viewer may see.
        sources: Where the figures come from, for the caption: runs with versions of their price
            tags.
        extra: Further data sets of the form, by name, e.g. of labels.
        height: Height in pixels, in every size.
    """

    kind: str
    title: str
    summary: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    form: Mapping[str, Any]
    projects: frozenset[str]
    sources: str = ""
    extra: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    height: int = HEIGHT

    def __post_init__(self) -> None:
        if len(self.rows) > MAX_ROWS:
            raise ChartError(f"{self.kind}: {len(self.rows)} rows; reduce them to {MAX_ROWS}")

    @cached_property
    def content(self) -> bytes:
        """The document in canonical form, which the chart's hash is computed from."""
        document = {
            "$schema": SCHEMA,
            "description": self.summary,
            **self.form,
            "autosize": {"type": "fit", "contains": "padding"},
            "datasets": {DRAWN: list(self.rows), **self.extra},
            "usermeta": {
                "kind": self.kind,
                "title": self.title,
                "columns": [[c.name, c.heading] for c in self.columns],
                "projects": sorted(self.projects),
                "sources": self.sources,
                "sizes": {size: [width, self.height] for size, width in WIDTHS.items()},
                "theme": theme.digest(),
            },
        }
        return json.dumps(
            document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
        ).encode()

    @cached_property
    def sha256(self) -> str:
        """Hash of the document."""
        return hashlib.sha256(self.content).hexdigest()


def drawable(
    document: Mapping[str, Any], shown_in: Theme = "light", size: Size = "wide"
) -> dict[str, Any]:
    """The document with the colors of a theme, and a size."""
    sizes = document["usermeta"]["sizes"]  # an older document has fewer
    width, height = sizes.get(size) or (WIDTHS[size], sizes["wide"][1])
    return {**document, "config": theme.config(shown_in), "width": width, "height": height}


def caption(document: Mapping[str, Any], sha256: str) -> str:
    """Sources and hash, by which a reader can find the chart's figures again."""
    meta = document["usermeta"]
    parts = (document["description"], meta["sources"], f"Chart {sha256}.")
    return " ".join(part for part in parts if part)


def as_csv(document: Mapping[str, Any]) -> bytes:
    """The rows that are drawn, with title and unit of each column."""
    columns = document["usermeta"]["columns"]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([heading for _, heading in columns])
    for row in document["datasets"][DRAWN]:
        writer.writerow([_cell(row.get(name)) for name, _ in columns])
    return text.getvalue().encode()


def _cell(value: Cell) -> Cell:
    # A spreadsheet would take such a text as a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
