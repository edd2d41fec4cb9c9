"""What no machine can have measured: figures of journals that are not taken.

A reading that is physically impossible is kept with the reason, like other lines that cannot be
applied; the next possible one continues after the last one that was taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pricetag.accounting.readings.step_energy import IMPLAUSIBLE_POWER, LOST, RESET

MAX_POWER_W = 100_000.0
"""No accelerator, processor or memory of one machine draws more power."""

LEAST_S = 1.0
"""A counter that moves in steps may show the energy of this time at once."""

MAX_ENERGY_J = MAX_POWER_W * 30 * 365 * 86_400.0
"""No counter reaches it in the life of a device."""

MAX_GAIN_STD_RATIO = 10.0

CUMULATIVE = ("counter_j", "integrated_j")

NOT_BOOKED = frozenset({IMPLAUSIBLE_POWER, LOST, RESET})
"""Flags of readings to which the counter books no energy, however far it rose."""

Moves = dict[tuple[str, str], tuple[float, float]]
"""Time and value of each component's counter and integral when they last moved."""


def start_fault(record: Mapping[str, Any]) -> str | None:
    """What of the components of a ``start`` is impossible; None if nothing is."""
    for component in record.get("components", ()):
        for name, most in (
            ("baseline_w", MAX_POWER_W),
            ("power_limit_w", MAX_POWER_W),
            ("gain_std_ratio", MAX_GAIN_STD_RATIO),
        ):
            value = component.get(name)
            if value is not None and (why := _outside(value, most)) is not None:
                return f"{name} of {component.get('id')!r:.60} {why}"
    return None


class Physics:
    """Checks the records of a part, in order.

    Args:
        latest_s: The present by the meter's clock, with an allowance.
        moves: Where the counters and integrals last moved; continued here.
    """

    def __init__(self, latest_s: float, moves: Moves) -> None:
        self._latest_s = latest_s
        self._moves = moves

    def fault(self, record: Mapping[str, Any]) -> str | None:
        """Why a record is impossible; None if it is possible, or of another type."""
        kind = record.get("type")
        if kind not in {"reading", "progress", "end"}:
            return None
        why = next(self._faults(kind, record), None)
        return None if why is None else f"{kind}: {why}"

    def _faults(self, kind: str, record: Mapping[str, Any]) -> Iterator[str]:
        t_s: Any = record.get("t_s")
        if not _is_number(t_s):
            yield "t_s is not a number"
            return
        if t_s > self._latest_s:
            yield f"t_s is {t_s:g} s, which is in the future"
        if kind == "progress":
            yield from _of_figures(record, {"power_w": MAX_POWER_W * 1000})
        elif kind == "end":
            unread_j = record.get("unread_j")
            if isinstance(unread_j, Mapping):
                most_j = MAX_POWER_W * max(self._latest_s, LEAST_S)
                for name in unread_j:
                    yield from _of_figures(unread_j, {name: most_j})
        else:
            yield from _of_figures(record, {"power_w": MAX_POWER_W})
            yield from _of_figures(record, dict.fromkeys(CUMULATIVE, MAX_ENERGY_J))
            yield from self._of_rises(str(record.get("component")), t_s, record)

    def _of_rises(self, component: str, t_s: float, record: Mapping[str, Any]) -> Iterator[str]:
        flags = record.get("flags")
        is_booked = not (isinstance(flags, list) and NOT_BOOKED.intersection(map(str, flags)))
        moved: Moves = {}
        for name in CUMULATIVE:
            value = record.get(name)
            if value is None:
                continue
            first = (0.0, 0.0) if name == "integrated_j" else None  # it begins with the meter
            before = self._moves.get((component, name), first)
            is_checked = is_booked or name != "counter_j"
            if is_checked and before is not None and value > before[1]:
                rise_j, elapsed_s = value - before[1], max(t_s - before[0], LEAST_S)
                if rise_j > MAX_POWER_W * elapsed_s:
                    yield (
                        f"{name} rose by {rise_j:g} J in {elapsed_s:g} s, more than the "
                        f"{MAX_POWER_W / 1000:g} kW that any component can draw"
                    )
            if before is None or value != before[1]:
                moved[component, name] = (t_s, value)
        self._moves |= moved  # not reached unless the reading is possible


def _of_figures(record: Mapping[str, Any], bounds: Mapping[str, float]) -> Iterator[str]:
    for name, most in bounds.items():
        value = record.get(name)
        if value is not None and (why := _outside(value, most)) is not None:
            yield f"{name} {why}"


def _outside(value: Any, most: float) -> str | None:
    if not _is_number(value):
        return "is not a number"
    if value < 0:
        return f"is negative ({value:g})"
    return f"is {value:g}, more than the {most:g} that are possible" if value > most else None


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all doubles
        return False
