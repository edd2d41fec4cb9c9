"""Charts as pages show them: sentence, pictures for each theme and width, table and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.charts.chart import WIDTHS, Cell, Chart, Column, Size
from pricetag.tag.figures import column_number, counted

SCREENS: Mapping[bool, Sequence[tuple[Size, str]]] = {
    False: (
        ("narrow", "(width < 30rem)"),
        ("medium", "(width < 48rem)"),
        ("wide", "(width < 72rem)"),
        ("full", ""),
    ),
    True: (
        ("narrow", "(width < 30rem)"),
        ("medium", "(width < 48rem)"),
        ("wide", "(width < 78rem)"),
        ("medium", "(width < 100rem)"),
        ("wide", ""),
    ),
}
"""Size of a picture by the width of the screen, of a chart that has its own row (False) or
that has half of one where two fit beside each other (True): the scale stays near 1, and so does
the size of the text."""

SHOWN_ROWS = 100
"""Maximum number of rows of the table beside a chart; the CSV has all."""

FILES = (("SVG", "svg"), ("PNG", "png"), ("PDF", "pdf"), ("CSV", "csv"), ("Spec", "json"))


@dataclass(frozen=True, slots=True)
class Picture:
    """One of the pictures from which the browser chooses.

    Attributes:
        theme: Colors of the picture.
        size: Its size.
        width: Its width in pixels.
        height: Its height in pixels.
        screen: Media query for the width of the screen; empty for all.
    """

    theme: str
    size: str
    width: int
    height: int
    screen: str

    def media(self, shown_in: str) -> str:
        """Media query under which a page of a theme shows this picture."""
        if self.theme == "light":  # after the dark one of its size, and the one for paper
            return self.screen or "all"
        if shown_in == "light":
            return "not all"
        scheme = () if shown_in == "dark" else ("(prefers-color-scheme: dark)",)
        return " and ".join(("screen", *scheme, *filter(None, (self.screen,))))


@dataclass(frozen=True, slots=True)
class CellView:
    """A cell of the table beside a chart."""

    text: str
    value: Cell
    is_number: bool


@dataclass(frozen=True, slots=True)
class ChartView:
    """A chart of a page.

    Attributes:
        id: Its id on the page.
        title: Heading.
        summary: What it shows, in a sentence.
        sha256: Hash, by which its files are found.
        pictures: Pictures for each theme and width, of which the browser takes the first that
            fits.
        width: Width of the default picture in pixels.
        height: Its height.
        headings: Headings of the table.
        rows: Its rows, at most `SHOWN_ROWS`.
        more: What the table leaves to the CSV, in words; empty if it is whole.
        sources: Where the figures come from.
        files: Label and format of each file.
    """

    id: str
    title: str
    summary: str
    sha256: str
    pictures: Sequence[Picture]
    width: int
    height: int
    headings: Sequence[str]
    rows: Sequence[Sequence[CellView]]
    more: str
    sources: str
    files: Sequence[tuple[str, str]] = FILES


def chart_view(chart: Chart, id: str | None = None, *, is_half: bool = False) -> ChartView:
    """The view of a chart, which the page must also keep (`services.saved.charts.keep`).

    Args:
        chart: The chart.
        id: Its id on the page; by default its kind.
        is_half: Whether it shares a row with another chart on a wide screen.
    """
    more = len(chart.rows) - SHOWN_ROWS
    return ChartView(
        id=id or chart.kind,
        title=chart.title,
        summary=chart.summary,
        sha256=chart.sha256,
        pictures=[
            Picture(theme, size, WIDTHS[size], chart.height, screen)
            for size, screen in SCREENS[is_half]
            for theme in ("dark", "light")
        ],
        width=WIDTHS["wide"],
        height=chart.height,
        headings=[column.heading for column in chart.columns],
        rows=[
            [_cell(row.get(c.name), c) for c in chart.columns] for row in chart.rows[:SHOWN_ROWS]
        ],
        more=f"{counted(more, 'more row')} in the CSV." if more > 0 else "",
        sources=chart.sources,
    )


def _cell(value: Cell, column: Column) -> CellView:
    if value is None:
        return CellView("not drawn", None, False)
    if isinstance(value, bool):
        return CellView("yes" if value else "no", value, False)
    if isinstance(value, str):
        return CellView(value, value, False)
    return CellView(column_number(value), value, True)
