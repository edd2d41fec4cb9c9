"""Tables that fit the terminal: columns that do not fit beside each other follow below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

GAPS = (2, 1)  # between columns; the narrower one where names would wrap with the other


@dataclass(frozen=True)
class Figures:
    """A column of figures, which stay whole; ``head`` may have several lines."""

    head: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """Characters of the longest line."""
        return max(map(len, (*self.head.split("\n"), *self.cells)))


@dataclass(frozen=True)
class FittedTable:
    """Names with figures; as many tables as the width asks for, each with the names.

    Attributes:
        head: Of the names.
        names: One a row; they may wrap.
        columns: The figures.
        least: Characters that the names get before a table is split.
    """

    head: str
    names: Sequence[str]
    columns: Sequence[Figures]
    least: int = 14

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Draws the tables, as rich asks for it."""
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


def new_table(*heads: str, gap: int = 2) -> Table:
    """An empty table; heads of figures begin with ``>``."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    # The box draws a blank between two columns by itself.
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False, padding=(0, gap - 1, 0, 0))
    for head in heads:
        right = head.startswith(">")
        table.add_column(
            Text(head.removeprefix(">")),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,  # figures stay whole, names may wrap
        )
    return table
