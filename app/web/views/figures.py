"""Figures on pages: value, unit, interval and source, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.schemas.common import Quantity
from pricetag.accounting.document.plain_texts import plain
from pricetag.accounting.quantity.record import NOT_RECORDED
from pricetag.tag.figure import Figure, Shown, figure_of
from pricetag.tag.figures import (
    Unit,
    column_number,
    column_unit,
    display_unit,
    evidence_word,
    money_texts,
    number,
)

NO_INTERVAL = (
    "no interval: runs share meters and factors, so that their errors neither cancel nor simply "
    "add up; each run shows its interval"
)
"""Why a sum of price tags has no interval: no price tag states which errors it shares."""


@dataclass(slots=True)  # not frozen: a page makes thousands
class FigureView:
    """A figure, ready to be shown.

    Attributes:
        value: The plain value in its stored unit; None where it is unknown.
        text: Its digits.
        unit: Unit of the digits.
        interval: The 95% interval in that unit; empty where there is none.
        source: Evidence behind it; None where it is unknown.
        exact: Unrounded value and unit, for the title.
        reason: Why it is unknown; for a known one, what it does not include.
        is_provisional: Whether it may still change.
        evidence: The source in a word or two, where readers call it otherwise.
    """

    value: float | None
    text: str
    unit: str
    interval: str
    source: str | None
    exact: str
    reason: str | None = None
    is_provisional: bool = False
    evidence: str | None = None


def figure(
    quantity: Shown | Mapping[str, Any] | None,
    *,
    shown: Unit | None = None,
    provisional: bool = False,
) -> FigureView:
    """The view of a figure.

    Args:
        quantity: A quantity of the accounting, or the same from a response of the API.
        shown: Unit of the column, as `column_unit` gives it; by default the figure's own.
        provisional: Whether it may still change.
    """
    is_wire = quantity is None or isinstance(quantity, Mapping)
    shape: Shown = figure_of(quantity) if is_wire else quantity  # type: ignore[arg-type,assignment]
    if shape.value is None:
        return unknown(shape.reason)
    name, size = shown or display_unit(shape.value, shape.unit)
    write = number if shown is None else column_number
    return FigureView(
        value=shape.value,
        text=write(shape.value / size),
        unit="" if name == "1" else name,
        interval=_interval(shape, size, shown is not None),
        source=shape.source,
        exact=_exact(shape),
        reason=plain(shape.reason) if shape.reason else None,
        is_provisional=provisional,
        evidence=evidence_word(shape),
    )


def _interval(shape: Shown, size: float, in_column: bool) -> str:
    low, high = shape.low, shape.high
    if low is None or high is None or low == high:
        return ""
    write = column_number if in_column else number
    return f"{write(low / size)} to {write(high / size)}"


def _exact(shape: Shown) -> str:
    return f"{shape.value!r} {shape.unit}".removesuffix(" 1")


def money(quantity: Shown, *, provisional: bool = False) -> FigureView:
    """The view of an amount of money."""
    if quantity.value is None:
        return unknown(quantity.reason)
    text, interval = money_texts(quantity)
    unit = quantity.unit
    return FigureView(
        value=quantity.value,
        text=text.removesuffix(f" {unit}"),
        unit=unit,
        interval=interval.removesuffix(f" {unit}"),
        source=quantity.source,
        exact=_exact(quantity),
        reason=plain(quantity.reason) if quantity.reason else None,
        is_provisional=provisional,
    )


def unknown(reason: str | None) -> FigureView:
    """The view of a figure that is not known, with its reason."""
    why = plain(reason) if reason else NOT_RECORDED
    return FigureView(None, "n/a", "", "", None, "", why)


def measured_time(
    seconds: float | None, reason: str | None = None, *, shown: Unit | None = None
) -> FigureView:
    """The view of a duration that a clock measured, in s."""
    if seconds is None:
        return unknown(reason)
    return figure(Figure(seconds, None, None, "s", "counter"), shown=shown)


def in_column(quantity: Quantity, unit: tuple[str, float]) -> FigureView:
    """The view of a quantity in the unit of its column."""
    return figure(quantity.model_dump(), shown=unit)


LEGIBLE = (0.01, 100_000.0)
"""Range of the largest figure of a column for a unit shared with other columns."""


def shared_units(*columns: Iterable[float | None], unit: str) -> list[Unit]:
    """One unit for the same quantity in several places of a page, where it is legible.

    Args:
        *columns: The figures of each place, in ``unit``; unknown ones and zeros do not count.
        unit: Their stored unit.

    Returns:
        The unit of each place: that of all figures, or its own where the largest figure would
        have too many digits or zeros.
    """
    stored = [[value for value in column if value] for column in columns]
    common = column_unit((value for column in stored for value in column), unit)
    return [
        common if is_legible(column, common) else column_unit(column, unit) for column in stored
    ]


def is_legible(values: Sequence[float], shown: Unit) -> bool:
    """Whether the largest of some figures can be read in a unit."""
    least, most = LEGIBLE
    return not values or least <= max(abs(value) for value in values) / shown[1] < most
