"""A figure to show: a quantity of a price tag, or one derived from several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pricetag.accounting.quantity.record import NOT_RECORDED


class Shown(Protocol):
    """The interface of a figure in views; quantities of the accounting have it too."""

    @property
    def value(self) -> float | None:
        """The figure; None where it is unknown."""

    @property
    def low(self) -> float | None:
        """Lower end of the 95% interval."""

    @property
    def high(self) -> float | None:
        """Upper end of the 95% interval."""

    @property
    def unit(self) -> str:
        """Unit of all three."""

    @property
    def source(self) -> str | None:
        """Weakest evidence that entered."""

    @property
    def reason(self) -> str | None:
        """Why it is unknown, or a remark."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its interval, if known; unlike a quantity, it may have none.

    Attributes:
        value: The figure; None where it is unknown.
        low: Lower end of the 95% interval.
        high: Upper end of the 95% interval.
        unit: Unit of all three.
        source: Weakest evidence that entered.
        reason: Why it is unknown, or a remark.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    source: str | None
    reason: str | None = None

    @classmethod
    def unknown(cls, reason: str = NOT_RECORDED, unit: str = "") -> Figure:
        """A figure that is not known, with the reason."""
        return cls(None, None, None, unit, None, reason)

    @classmethod
    def exact(cls, value: float, unit: str, source: str | None) -> Figure:
        """A figure without spread."""
        return cls(value, value, value, unit, source)

    @classmethod
    def of(cls, quantity: Shown) -> Figure:
        """A quantity of the accounting as a figure."""
        return cls(
            quantity.value,
            quantity.low,
            quantity.high,
            quantity.unit,
            quantity.source,
            quantity.reason,
        )

    def as_dict(self) -> dict[str, Any]:
        """``{value, low, high, unit, source, reason}``."""
        return asdict(self)


def scaled(figure: Shown, factor: float, unit: str, source: str | None = None) -> Figure:
    """A figure times an exact factor, in a new unit; unknown stays unknown.

    Args:
        figure: Figure to multiply.
        factor: The exact factor.
        unit: Unit of the product.
        source: Evidence of the product, if the factor has the weaker evidence.
    """

    def times(end: float | None) -> float | None:
        return None if end is None else end * factor

    is_known = figure.value is not None
    return Figure(
        times(figure.value),
        times(figure.low),
        times(figure.high),
        unit,
        (source or figure.source) if is_known else None,
        figure.reason,
    )


def share_of(part: Shown, total: Shown) -> Figure | None:
    """The share of a total, without interval; None if either is unknown or the total is 0."""
    if part.value is None or not total.value:
        return None
    return Figure(part.value / total.value, None, None, "1", part.source)


def figure_of(wire: Mapping[str, Any] | None) -> Figure:
    """The figure in the JSON of a response; an unknown one if it is missing."""
    if wire is None or "value" not in wire:
        return Figure.unknown()
    return Figure(
        wire["value"],
        wire.get("low"),
        wire.get("high"),
        str(wire.get("unit") or ""),
        wire.get("source"),
        wire.get("reason"),
    )
