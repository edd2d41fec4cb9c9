"""What open runs will have used of a budget over time, and when they reach its limit.

Each open run uses the rest of its expected amount evenly from its start to its end. The fan has
three curves: with expected amounts and times; with the least amounts as late as possible; with
the largest as early as possible. The errors of the runs are not assumed to cancel out, so that
the outer curves hold for every run at once.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Span3:
    """A value with the ends of its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OpenUse:
    """Expected further use of one open run.

    Attributes:
        amount: In the budget's unit.
        start_s: Time until it uses anything, in s; 0 for a running one.
        duration_s: Time from then to its end, in s.
    """

    amount: Span3
    start_s: Span3
    duration_s: Span3


LEAST_S = 1e-3
"""A run of at most this duration uses its amount at once."""


@dataclass(frozen=True, slots=True)
class Rise:
    """Use from now on: a rising curve, by its corners.

    Attributes:
        times_s: Times of the corners from now, in s, in order; the first one is 0.
        amounts: Amount used between now and each corner; the first one is 0.
    """

    times_s: Sequence[float]
    amounts: Sequence[float]

    def at(self, t_s: float) -> float:
        """Amount used by a time from now, in s."""
        after = bisect_right(self.times_s, t_s)
        if after == 0:
            return 0.0
        if after == len(self.times_s):
            return self.amounts[-1]
        left_s, right_s = self.times_s[after - 1 : after + 1]
        left, right = self.amounts[after - 1 : after + 1]
        return left + (right - left) * (t_s - left_s) / (right_s - left_s)

    def reached(self, amount: float) -> float | None:
        """Time from now at which an amount is used, in s; None if it never is."""
        if amount <= 0:
            return 0.0
        after = bisect_left(self.amounts, amount)
        if after == len(self.amounts):
            return None
        left_s, right_s = self.times_s[after - 1 : after + 1]
        left, right = self.amounts[after - 1 : after + 1]
        return left_s + (amount - left) / (right - left) * (right_s - left_s)


@dataclass(frozen=True, slots=True)
class Fan:
    """Expected use over time, with its range; each look-up is logarithmic in the open runs.

    Attributes:
        used: What is used now.
        low: The least that open runs add, as late as possible.
        value: Amount that they are expected to add.
        high: The most that they add, as early as possible.
    """

    used: float
    low: Rise
    value: Rise
    high: Rise

    def above(self, used: float) -> Fan:
        """The same open runs on top of another amount."""
        return replace(self, used=used)

    @property
    def end(self) -> Span3:
        """Amounts used once all open runs have ended."""
        return self._on_top(*(rise.amounts[-1] for rise in (self.value, self.low, self.high)))

    @property
    def last_s(self) -> float:
        """Time from now to the latest end of an open run, in s."""
        return max(rise.times_s[-1] for rise in (self.low, self.value, self.high))

    def at(self, t_s: float) -> Span3:
        """Amounts used by a time from now, in s."""
        return self._on_top(*(rise.at(t_s) for rise in (self.value, self.low, self.high)))

    def _on_top(self, value: float, low: float, high: float) -> Span3:
        return Span3(self.used + value, self.used + low, self.used + high)

    def crossing(self, limit: float, until_s: float = math.inf) -> tuple[float | None, ...]:
        """Times from now at which the limit is reached, in s: expected, earliest, latest.

        None where a curve does not reach it in time.
        """
        remaining = limit - self.used
        times = (rise.reached(remaining) for rise in (self.value, self.high, self.low))
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
    return Fan(used, _rise(low), _rise(value), _rise(high))


def _rise(parts: Sequence[tuple[float, float, float]]) -> Rise:
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
    times_s, amounts = [0.0], [0.0]
    slope = 0.0
    for t_s in sorted({*slopes, *jumps}):
        before_s, amount = times_s[-1], amounts[-1]
        amount += max(slope, 0.0) * (t_s - before_s)
        if t_s > before_s:
            times_s.append(t_s)
            amounts.append(amount)
        if t_s in jumps:
            times_s.append(t_s)
            amounts.append(amount + jumps[t_s])
        slope += slopes.get(t_s, 0.0)
    return Rise(times_s, amounts)
