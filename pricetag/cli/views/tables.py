"""Tables that fit the terminal: columns that exceed its width follow in a table below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pricetag.one_line import one_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

MARKS = "~>+"
"""Signs before the heads of a ``ListTable``."""

LEAST = {"~": 8, "+": 20}
"""Minimum width of a name and of a sentence on narrow terminals, in characters."""

GAPS = (2, 1)  # between columns; the narrower one where names would wrap with the other


@dataclass(frozen=True)
class Figures:
    """A column of figures, which are never cut; ``head`` may have several lines."""

    head: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """Length of the longest line, in characters."""
        return max(map(len, (*self.head.split("\n"), *self.cells)))


@dataclass(frozen=True)
class FittedTable:
    """Names with figures, in as many tables as the width requires, each with the names.

    Attributes:
        head: Heading of the names.
        names: One per row; they may wrap.
        columns: Columns of figures.
        least: Minimum width of the names before a table is split, in characters.
    """

    head: str
    names: Sequence[str]
    columns: Sequence[Figures]
    least: int = 14

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Renders the tables; called by rich."""
        from rich.cells import cell_len

        longest = max(map(cell_len, (self.head, *self.names)))
        gap = next((gap for gap in GAPS if self._width(gap) + longest <= options.max_width), 1)
        room = options.max_width - min(self.least, longest)
        for number, columns in enumerate(packed(self.columns, room, gap)):
            if number:
                yield ""
            yield self._table(columns, gap)

    def _width(self, gap: int) -> int:
        return sum(column.width + gap for column in self.columns)

    def _table(self, columns: Sequence[Figures], gap: int) -> Table:
        from rich.text import Text

        lines = max((column.head.count("\n") for column in columns), default=0)
        heads = ("\n" * (lines - head.count("\n")) + head for head in self._heads(columns))
        first, *others = heads
        table = new_table(first, *(f">{head}" for head in others), gap=gap)
        for index, name in enumerate(self.names):
            table.add_row(Text(name), *(Text(column.cells[index]) for column in columns))
        return table

    def _heads(self, columns: Sequence[Figures]) -> list[str]:
        return [self.head, *(column.head for column in columns)]


def packed(columns: Sequence[Figures], room: int, gap: int) -> list[list[Figures]]:
    """The columns in order, in groups that fit into ``room`` characters."""
    groups: list[list[Figures]] = [[]]
    left = room
    for column in columns:
        needed = column.width + gap
        if groups[-1] and needed > left:
            groups.append([])
            left = room
        groups[-1].append(column)
        left -= needed
    return groups


@dataclass(frozen=True)
class ListTable:
    """A list with one line per row, under descriptive heads.

    Names that are too long end in an ellipsis. Columns without any text are dropped. On a
    terminal that is too narrow for the rest, each row is a block of lines, with nothing cut.

    Attributes:
        heads: Heads of figures begin with ``>``, those of columns that may be cut with ``~``, those
            of sentences, which may wrap, with ``+``.
        rows: The cells of each row.
        styles: Styles of cells by their text.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    styles: Mapping[str, str] = field(default_factory=dict)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Renders the list; called by rich."""
        from rich.padding import Padding
        from rich.text import Text

        rows = [[one_line(cell) for cell in row] for row in self.rows]
        filled = [i for i in range(len(self.heads)) if i == 0 or any(row[i] for row in rows)]
        heads = [self.heads[i] for i in filled]
        rows = [[row[i] for i in filled] for row in rows]
        if self._least(heads, rows) <= options.max_width:
            yield self._table(heads, rows)
            return
        for row in rows:
            named = zip((head.lstrip(MARKS) for head in heads), row, strict=True)
            first, *others = (f"{head}: {cell}" if head else cell for head, cell in named if cell)
            yield Text(first)
            yield from (Padding(Text(line), (0, 0, 0, 2), expand=False) for line in others)

    def _least(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
        """Width if every name is cut as far as possible."""
        from rich.cells import cell_len

        widths = []
        for index, head in enumerate(heads):
            width = max(map(cell_len, [head.lstrip(MARKS), *(row[index] for row in rows)]))
            widths.append(min(width, LEAST.get(head[:1], width)))
        return sum(widths) + 2 * (len(widths) - 1)

    def _table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        from rich.box import SIMPLE
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        for head in heads:
            table.add_column(
                Text(head.lstrip(MARKS), no_wrap=True),
                justify="right" if head.startswith(">") else "left",
                # Columns that may be cut or wrapped make room for the others.
                no_wrap=head[:1] not in LEAST,
                min_width=LEAST.get(head[:1]),
            )
        for row in rows:
            cells = []
            for head, cell in zip(heads, row, strict=True):
                text = Text(cell, self.styles.get(cell, ""))
                if not head.startswith("+"):
                    text.no_wrap, text.overflow = True, "ellipsis"
                cells.append(text)
            table.add_row(*cells)
        return table


def new_table(*heads: str, gap: int = 2) -> Table:
    """An empty table; heads of figures begin with ``>``."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    # The box itself draws a blank between two columns.
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False, padding=(0, gap - 1, 0, 0))
    for head in heads:
        right = head.startswith(">")
        table.add_column(
            Text(head.removeprefix(">")),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,  # figures are never cut, names may wrap
        )
    return table
