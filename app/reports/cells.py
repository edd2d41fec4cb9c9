"""Cells of report tables: one unit per column, reasons as lettered notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pricetag.accounting.document.plain_texts import plain
from pricetag.accounting.quantity.record import NOT_RECORDED
from pricetag.tag import figures
from pricetag.tag.figure import Shown
from pricetag.tag.figures import (
    difference,
    evidence_word,
    money,
    money_texts,
    number,
    percent,
)
from pricetag.tag.footnotes import letter

EVIDENCE = {
    "counter": "hardware counter",
    "integrated": "integrated power",
    "modelled": "modelled",
    "estimated": "estimated",
    "assumed": "assumed",
}


class Notes:
    """Lettered notes below one table, each reason once."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def mark(self, reason: str) -> str:
        """The letter of a reason, in brackets."""
        return f"({self._letters.setdefault(plain(reason), letter(len(self._letters)))})"

    def lines(self) -> list[str]:
        """The notes, in order."""
        return [f"({letter}) {reason}" for reason, letter in self._letters.items()]

    def figure(self, figure: Shown, size: float = 1.0) -> str:
        """A figure without its unit, in multiples of ``size``; for an unknown one, its reason."""
        return self._known(figure, lambda value: number(value if size == 1.0 else value / size))

    def interval(self, figure: Shown, size: float = 1.0) -> str:
        """The interval without its unit; empty if the figure is unknown."""
        if figure.value is None:
            return ""
        if figure.low is None or figure.high is None:
            return f"n/a {self.mark('no interval is known')}"
        if figure.low == figure.high:
            return "exact"
        return f"{number(figure.low / size)} to {number(figure.high / size)}"

    def percent(self, figure: Shown) -> str:
        """A ratio in percent."""
        return self._known(figure, percent)

    def difference(self, figure: Shown) -> str:
        """A relative difference in percent, with its sign."""
        return self._known(figure, difference)

    def amount(self, figure: Shown) -> str:
        """An amount of money with its currency and its 95% interval."""

        def text(_: float) -> str:
            value, interval = money_texts(figure)
            return f"{value} ({interval})" if interval else value

        return self._known(figure, text)

    def price_range(self, figure: Shown) -> str:
        """A cloud cost from the lowest to the highest price, with its currency."""

        def text(value: float) -> str:
            ends = [value if end is None else end for end in (figure.low, figure.high)]
            return f"{' to '.join(dict.fromkeys(map(money, ends)))} {figure.unit}"

        return self._known(figure, text)

    def _known(self, figure: Shown, write: Callable[[float], str]) -> str:
        if figure.value is None:
            return f"n/a {self.mark(figure.reason or NOT_RECORDED)}"
        text = write(figure.value)
        return f"{text} {self.mark(figure.reason)}" if figure.reason else text


def column_unit(column: Iterable[Shown], unit: str) -> tuple[str, float]:
    """A readable unit for the figures of a column, and its size."""
    return figures.column_unit((figure.value for figure in column), unit)


def evidence(figure: Shown) -> str:
    """The evidence of a figure, in a few words."""
    word = evidence_word(figure)
    return EVIDENCE.get(word, word) if word else "n/a"
