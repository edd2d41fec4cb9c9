"""Cells of report tables: figures in one unit a column, reasons as lettered notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pricetag.tag import figures
from pricetag.tag.figures import MISSING, difference, money, number, percent

Quantity = Mapping[str, Any]

EVIDENCE = {
    "counter": "hardware counter",
    "integrated": "integrated power",
    "modelled": "modelled",
    "estimated": "estimated",
    "assumed": "assumed",
}


class Notes:
    """Lettered notes of one table: each reason once, below the table."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def mark(self, reason: str) -> str:
        """The letter of a reason, in brackets."""
        return f"({self._letters.setdefault(reason, _letter(len(self._letters)))})"

    def lines(self) -> list[str]:
        """The notes, in order."""
        return [f"({letter}) {reason}" for reason, letter in self._letters.items()]

    def figure(self, quantity: Quantity, size: float = 1.0) -> str:
        """A figure without its unit, in units of ``size``; unknown ones bear their reason."""
        if quantity["value"] is None:
            return f"n/a {self.mark(quantity.get('reason') or MISSING)}"
        text = number(quantity["value"] if size == 1.0 else quantity["value"] / size)
        return self._remarked(text, quantity)

    def interval(self, quantity: Quantity, size: float = 1.0) -> str:
        """The interval without its unit; empty where the figure is unknown."""
        if quantity["value"] is None:
            return ""
        low, high = quantity.get("low"), quantity.get("high")
        if low is None or high is None:
            return f"n/a {self.mark('no interval is known')}"
        return "exact" if low == high else f"{number(low / size)} to {number(high / size)}"

    def percent(self, quantity: Quantity) -> str:
        """A ratio in percent."""
        if quantity["value"] is None:
            return f"n/a {self.mark(quantity.get('reason') or MISSING)}"
        return self._remarked(percent(quantity["value"]), quantity)

    def difference(self, quantity: Quantity) -> str:
        """A relative difference in percent, with its sign."""
        if quantity["value"] is None:
            return f"n/a {self.mark(quantity.get('reason') or MISSING)}"
        return self._remarked(difference(quantity["value"]), quantity)

    def cost(self, quantity: Quantity) -> str:
        """Money from low to high, with its currency."""
        if quantity["value"] is None:
            return f"n/a {self.mark(quantity.get('reason') or MISSING)}"
        ends = [quantity["value"] if quantity.get(e) is None else quantity[e] for e in _ENDS]
        span = " to ".join(dict.fromkeys(map(money, ends)))
        return self._remarked(f"{span} {quantity['unit']}", quantity)

    def _remarked(self, text: str, quantity: Quantity) -> str:
        reason = quantity.get("reason")
        return f"{text} {self.mark(reason)}" if reason else text


_ENDS = ("low", "high")


def column_unit(quantities: Iterable[Quantity], unit: str) -> tuple[str, float]:
    """The unit in which the figures of a column read well, and its size."""
    return figures.column_unit((q["value"] for q in quantities), unit)


def evidence(quantity: Quantity) -> str:
    """In a word, what a figure rests on."""
    source = quantity.get("source")
    if source == "counter" and quantity.get("unit") in ("s", "h"):
        return "clock"
    if source == "counter" and quantity.get("unit") == "FLOP":
        return "operators counted"
    return EVIDENCE.get(str(source), str(source)) if source else "n/a"


def _letter(index: int) -> str:
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters
