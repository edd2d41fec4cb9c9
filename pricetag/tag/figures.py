"""The notation of figures on the terminal, in reports and in tables.

The rules:

* Three significant digits, but the digits before the decimal point are never rounded
  away (1507.09 is written ``1,507``, 0.0123456 is written ``0.0123``). Counts are exact.
* A single figure has the unit in which it reads well (0.00123 kWh is
  ``1.23 Wh``) and always shows that unit. A figure in a table column keeps the unit of
  the column's head, so that the rows can be compared.
* The interval is in the unit of the value, and the evidence is stated.
* An unknown figure is ``n/a`` with its reason, never 0.

Machine-readable files (CSV, JSON) have unrounded numbers in the stored unit instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pricetag.accounting.document.plain_texts import plain
from pricetag.accounting.quantity.record import NOT_RECORDED
from pricetag.tag.figure import Shown, figure_of

SIGNIFICANT_DIGITS = 3
LEAST_SHOWN = 0.0001
"""Smallest figure that a column writes with digits."""

Unit = tuple[str, float]
"""A unit to show, and the number of stored units in one of it."""

_LONG = 1e5  # from here on a figure has too many digits for a column

_FLOP_PREFIXES = (
    ("Z", 1e21),
    ("E", 1e18),
    ("P", 1e15),
    ("T", 1e12),
    ("G", 1e9),
    ("M", 1e6),
    ("", 1.0),
)

# unit -> ladder of (display unit, size in that unit's base), from large to small
_LADDERS: dict[str, tuple[tuple[str, float], ...]] = {
    "kWh": (("GWh", 1e6), ("MWh", 1e3), ("kWh", 1.0), ("Wh", 1e-3), ("mWh", 1e-6), ("µWh", 1e-9)),
    "Wh": (("MWh", 1e6), ("kWh", 1e3), ("Wh", 1.0), ("mWh", 1e-3), ("µWh", 1e-6)),
    "kg": (("t", 1e3), ("kg", 1.0), ("g", 1e-3), ("mg", 1e-6), ("µg", 1e-9)),
    "W": (("MW", 1e6), ("kW", 1e3), ("W", 1.0), ("mW", 1e-3)),
    "s": (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)),
    "ms": (("s", 1e3), ("ms", 1.0), ("µs", 1e-3)),
    "l": (("m³", 1e3), ("l", 1.0), ("ml", 1e-3)),
    "bytes": (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("bytes", 1.0)),
    **{
        unit: tuple((prefix + unit, size) for prefix, size in _FLOP_PREFIXES)
        for unit in ("FLOP", "FLOP/J", "FLOP/s")
    },
}
# Seconds and minutes stay readable beyond one unit of the next step (90 s, 100 min).
_STAYS_UNTIL = {"h": 2.0, "min": 2.0}
_SPELLINGS = {
    "kg CO2e": ("kg", " CO2e"),
    "kgCO2e": ("kg", " CO2e"),
    "B": ("bytes", ""),
    "byte": ("bytes", ""),
    "FLOPs": ("FLOP", ""),
    "flops": ("FLOP", ""),
    "flop": ("FLOP", ""),
    "L": ("l", ""),
}


def number(value: float) -> str:
    """A number by the rule of this module, without a unit.

    Args:
        value: Any finite number; ``inf`` and ``nan`` are spelled out.

    Returns:
        For example ``1,507``, ``12.3``, ``0.0123``, ``1.23e-05``; whole numbers given as
        int are exact.
    """
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "n/a" if math.isnan(value) else ("infinite" if value > 0 else "-infinite")
    if value == 0:
        return "0"
    # The exponent after rounding, so that 9.996 is written 10.0 and not 10.00.
    magnitude = int(f"{value:.{SIGNIFICANT_DIGITS - 1}e}".partition("e")[2])
    if magnitude < -4 or magnitude >= 15:
        return f"{value:.{SIGNIFICANT_DIGITS - 1}e}"
    return f"{value:,.{max(0, SIGNIFICANT_DIGITS - 1 - magnitude)}f}"


def display_unit(value: float, unit: str) -> tuple[str, float]:
    """A readable unit for a single figure.

    Args:
        value: The figure, in ``unit``.
        unit: Its stored unit; a unit without a ladder is kept.

    Returns:
        The unit to show and the number of stored units in one of it.
    """
    base, tail = _SPELLINGS.get(unit, (unit, ""))
    ladder = _LADDERS.get(base)
    if ladder is None:
        return unit, 1.0
    if value == 0 or not math.isfinite(value):
        return base + tail, 1.0
    for name, size in ladder:
        if abs(value) >= size * _STAYS_UNTIL.get(name, 1.0):
            return name + tail, size
    name, size = ladder[-1]
    return name + tail, size


def column_unit(values: Iterable[float | None], unit: str) -> tuple[str, float]:
    """The unit for a column of figures: that of the middle one, if the largest stays short.

    Args:
        values: The figures, in ``unit``; unknown ones and zeros do not count.
        unit: Their stored unit.

    Returns:
        The unit to show and the number of stored units in one of it.
    """
    sizes = sorted(abs(value) for value in values if value and math.isfinite(value))
    if not sizes:
        return display_unit(0.0, unit)
    middle, largest = sizes[len(sizes) // 2], sizes[-1]
    while middle < largest and largest / display_unit(middle, unit)[1] >= _LONG:
        middle *= 10
    return display_unit(min(middle, largest), unit)


def column_number(value: float) -> str:
    """A number in a column whose unit suits another figure: never in powers of ten.

    Returns:
        As ``number``; below 0.0001 ``<0.0001``, beyond 15 digits all of them.
    """
    if not math.isfinite(value) or value == 0:
        return number(value)
    if abs(value) < LEAST_SHOWN:
        return f"<{LEAST_SHOWN}" if value > 0 else f">-{LEAST_SHOWN}"
    return number(value) if abs(value) < 1e15 else f"{value:,.0f}"


def with_unit(value: float, unit: str, shown: Unit | None = None) -> str:
    """A single figure with a readable unit, for example ``1.23 Wh``.

    Args:
        value: The figure, in ``unit``.
        unit: Its stored unit.
        shown: Unit to show, as ``column_unit`` gives it; by default the figure's own.
    """
    if shown is not None:
        return f"{column_number(value / shown[1])} {shown[0]}".removesuffix(" 1").rstrip()
    name, size = display_unit(value, unit)
    figure = number(value if size == 1.0 else value / size)
    if name.startswith("1/"):
        return figure + name[1:]
    return f"{figure} {name}" if name and name != "1" else figure


def not_available(reason: str | None) -> str:
    """The text of an unknown figure: ``n/a (reason)``."""
    return f"n/a ({plain(reason) if reason else NOT_RECORDED})"


def figure_text(figure: Shown, shown: Unit | None = None) -> str:
    """A figure in words: value, unit, interval and evidence.

    Args:
        figure: The figure.
        shown: Unit to show, as ``column_unit`` gives it; by default the figure's own.

    Returns:
        For example ``12.3 Wh (11.1 to 13.6 Wh; counter)`` or ``n/a (no meter)``.
    """
    if figure.value is None:
        return not_available(figure.reason)
    tail = "; ".join(note for note in (interval_text(figure, shown), evidence_word(figure)) if note)
    text = with_unit(figure.value, figure.unit, shown) + (f" ({tail})" if tail else "")
    return f"at least {text}" if is_partly_counted(figure) else text


def evidence_word(figure: Shown) -> str | None:
    """The evidence of a figure in a word or two; no hardware counts seconds or operations."""
    if figure.source == "counter" and figure.unit in ("s", "h"):
        return "clock"
    if figure.source == "counter" and figure.unit == "FLOP":
        return "operators counted"
    return figure.source


def is_partly_counted(figure: Shown) -> bool:
    """Whether operations are a lower bound: a remark states what is not counted."""
    return figure.unit == "FLOP" and figure.value is not None and bool(figure.reason)


def partly_counted(figures: Iterable[Shown]) -> str | None:
    """Remark on a sum of operations of which some are not counted; None for any other sum."""
    partial = sum(map(is_partly_counted, figures))
    if not partial:
        return None
    return f"some operators or stages of {counted(partial, 'run')} are not counted"


def quantity_text(quantity: Mapping[str, Any] | None, shown: Unit | None = None) -> str:
    """The same for a figure in an API response: ``{value, low, high, unit, source, reason}``."""
    return figure_text(figure_of(quantity), shown)


def interval_text(figure: Shown, shown: Unit | None = None) -> str:
    """The interval alone in the unit of the value, or an empty text where there is none."""
    value, low, high = figure.value, figure.low, figure.high
    if value is None or low is None or high is None or low == high:
        return ""
    name, size = shown or display_unit(value, figure.unit)
    write = number if shown is None else column_number
    spread = f"{write(low / size)} to {write(high / size)}"
    return f"{spread} {name}" if name and name != "1" else spread


def money(amount: float) -> str:
    """An amount of money: two decimals up to a hundred, whole from there on."""
    if 0 < abs(amount) < 0.01:
        return number(amount)
    return f"{amount:,.2f}" if abs(amount) < 100 else f"{amount:,.0f}"


def money_texts(figure: Shown) -> tuple[str, str]:
    """The value of an amount of money, and its 95% interval.

    Returns:
        For example ``12.30 EUR`` and ``11.10 to 13.50 EUR``; in three significant digits where
        two decimals would hide the interval. The interval is empty where there is none.
    """
    if figure.value is None:
        return not_available(figure.reason), ""
    value, low, high = figure.value, figure.low, figure.high
    unit = f" {figure.unit}" if figure.unit else ""
    if low is None or high is None or low == high:
        return money(value) + unit, ""
    amounts = [low, value, high]
    texts = [money(amount) for amount in amounts]
    if len(set(texts)) < len(amounts):
        texts = [number(float(amount)) for amount in amounts]
    return texts[1] + unit, f"{texts[0]} to {texts[2]}{unit}"


def money_range(low: float, high: float, currency: str | None) -> str:
    """A range of money, for example ``41.28 to 140 USD``."""
    text = money(low) if low == high else f"{money(low)} to {money(high)}"
    return f"{text} {currency}" if currency else text


def counted(count: int, noun: str) -> str:
    """A count with its noun: ``1 run``, ``2,000 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(ratio: float) -> str:
    """A ratio in percent; a ratio near 0 or 1 is not rounded to 0% or 100%."""
    if ratio == 0:
        return "0.0%"
    if abs(ratio) < 0.0005:
        return "under 0.1%"
    if 0.9995 <= ratio < 1:
        return "over 99.9%"
    return f"{ratio:.1%}"


def ratio_text(ratio: float) -> str:
    """A ratio to a reference: in percent up to 200%, as a multiple above."""
    if ratio <= 2:
        return percent(ratio)
    return f"{ratio:.1f}x" if ratio < 9.95 else f"{ratio:,.0f}x"


def short_count(count: float) -> str:
    """A short count: ``873k``, ``22.7M``, ``1.30B``; below a thousand in full."""
    for letter, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        # What would round up to a thousand of a step is one of the next.
        if abs(count) >= size * 0.9995:
            return number(float(count) / size) + letter
    return number(count)


def difference(ratio: float) -> str:
    """A relative difference with its sign; beyond twice the reference, as a multiple."""
    if ratio == 0:
        return "+0.0%"  # the zero may be negative
    if abs(ratio) < 0.0005:
        return "under 0.1%"
    return f"+{ratio_text(ratio)}" if ratio > 2 else f"{ratio:+.1%}"


def duration_text(duration_s: float | None) -> str:
    """A duration as on a clock: ``42 s``, ``3:07``, ``1:02:45``."""
    if duration_s is None:
        return "n/a"
    total_s = round(duration_s)
    if total_s < 60:
        return f"{total_s} s"
    hours, remaining_s = divmod(total_s, 3600)
    minutes, seconds = divmod(remaining_s, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
