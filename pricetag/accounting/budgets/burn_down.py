"""What open runs will have used of a budget over time, and when they reach its limit.

Each open run uses the rest of its expected amount evenly from its start to its end. The fan has
three curves: with expected amounts and times; with the least amounts as late as possible; with
the largest as early as possible. The errors of the runs are not assumed to cancel out, so that
the outer curves hold for every run at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Span3:
    """A value with the ends of its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OpenUse:
    """What one open run is expected to use from now on.

    Attributes:
        amount: In the budget's unit.
        start_s: Time until it uses anything, in s; 0 for a running one.
        duration_s: Time from then to its end, in s.
    """

    amount: Span3
    start_s: Span3
    duration_s: Span3


LEAST_S = 1e-3
"""A run that takes no longer uses its amount at once."""

Curve = list[tuple[float, float]]
"""Corners of a curve: time from now, in s, and amount used by then; in order of time."""


@dataclass(frozen=True, slots=True)
class Fan:
    """Expected use over time, with its range."""

    low: Curve
    value: Curve
    high: Curve

    def at(self, t_s: float) -> Span3:
        """Amounts used by a time from now, in s."""
        return Span3(*(_amount_at(curve, t_s) for curve in (self.value, self.low, self.high)))

    def crossing(self, limit: float, until_s: float = math.inf) -> tuple[float | None, ...]:
        """Times from now at which the limit is reached, in s: expected, earliest, latest.

        None where a curve does not reach it in time.
        """
        times = (_crossing(curve, limit) for curve in (self.value, self.high, self.low))
        return tuple(t_s if t_s is not None and t_s <= until_s else None for t_s in times)


def fan(used: float, uses: Sequence[OpenUse]) -> Fan:
    """The expected use of a budget from now on.

    Args:
        used: What is used now.
        uses: The open runs.
    """
    low = [(u.amount.low, u.start_s.high, u.duration_s.high) for u in uses]
    value = [(u.amount.value, u.start_s.value, u.duration_s.value) for u in uses]
    high = [(u.amount.high, u.start_s.low, u.duration_s.low) for u in uses]
    return Fan(_curve(used, low), _curve(used, value), _curve(used, high))


def _curve(used: float, parts: Sequence[tuple[float, float, float]]) -> Curve:
    """The sum of straight rises: ``(amount, start, duration)`` each."""
    slopes: dict[float, float] = {}
    jumps: dict[float, float] = {}
    for amount, start_s, duration_s in parts:
        if duration_s > LEAST_S:
            slopes[start_s] = slopes.get(start_s, 0.0) + amount / duration_s
            end_s = start_s + duration_s
            slopes[end_s] = slopes.get(end_s, 0.0) - amount / duration_s
        else:
            jumps[start_s] = jumps.get(start_s, 0.0) + amount
    curve = [(0.0, used)]
    slope = 0.0
    for t_s in sorted({*slopes, *jumps}):
        before_s, amount = curve[-1]
        amount += max(slope, 0.0) * (t_s - before_s)
        if t_s > before_s:
            curve.append((t_s, amount))
        if t_s in jumps:
            curve.append((t_s, amount + jumps[t_s]))
        slope += slopes.get(t_s, 0.0)
    return curve


def _amount_at(curve: Curve, t_s: float) -> float:
    amount = curve[0][1]
    for (left_s, left), (right_s, right) in pairwise(curve):
        if t_s >= right_s:
            amount = right
        elif t_s > left_s:
            return left + (right - left) * (t_s - left_s) / (right_s - left_s)
    return amount


def _crossing(curve: Curve, limit: float) -> float | None:
    if curve[0][1] >= limit:
        return 0.0
    for (left_s, left), (right_s, right) in pairwise(curve):
        if right >= limit:
            share = (limit - left) / (right - left)
            return left_s + share * (right_s - left_s)
    return None
