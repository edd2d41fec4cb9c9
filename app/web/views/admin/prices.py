"""Prices of the price book as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.prices import PriceRead
from app.web.views.figures import FigureView, money
from pricetag.tag.figure import Figure

KINDS = (
    ("on_demand", "on demand"),
    ("spot", "spot"),
    ("reserved", "reserved"),
    ("internal", "internal: hardware of the lab"),
)
"""Kinds of prices with their words, for forms."""


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A price.

    Attributes:
        price: As the API states it.
        amount: Price of an hour of one device.
        kind: Its kind in words.
        state: Whether it applies.
    """

    price: PriceRead
    amount: FigureView
    kind: str
    state: str


def rows(prices: Sequence[PriceRead]) -> Sequence[PriceRow]:
    """The rows of some prices."""
    return [_row(price) for price in prices]


def _row(price: PriceRead) -> PriceRow:
    amount = money(Figure.exact(float(price.amount), price.currency, "estimated"))
    state = "replaced" if price.replaced else "planned" if price.planned else "in the book"
    return PriceRow(price, amount, price.kind.replace("_", " "), state)
