"""Detects the time at which an energy counter is updated after an edge.

An edge's reading shows a counter that may be one update old. Polling it every few milliseconds
until it changes shows the time of the update; accounting then knows how much of it was before the
edge (:mod:`pricetag.accounting.readings.alignment`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pricetag.accounting.readings.alignment import LATE_TICK, TICK

__all__ = ["LATE_TICK", "TICK", "TickWatch", "Ticker", "TickingSource"]

LONGEST_LOOK_PERIOD_S = 0.004
LOOKS_A_PERIOD = 10
"""Polling period while an update is awaited, and thus the precision of its time."""

LATE_AFTER_LOOKS = 2.5
"""An update found after a longer pause may be that much older: it is flagged as late."""

WATCHED_PERIODS = 2.1
"""Number of update periods after which an update is no longer awaited."""

TICKS_AN_EDGE = 2
"""Updates to await: the one after an edge and the next, for the power in between."""


@runtime_checkable
class TickingSource(Protocol):
    """A source whose counters can be read individually at little cost."""

    def counter_now_j(self, index: int) -> float | None:
        """The counter of one component in J, None where it cannot be read now."""
        ...

    def power_now_w(self, index: int) -> float | None:
        """The power of one component in W, None where it cannot be read now."""
        ...


@dataclass(slots=True)
class Ticker:
    """One counter that ticks, and the progress of watching it.

    Attributes:
        place: The component: index of its source, and index in the source.
        update_s: Nominal update period of the counter.
        look: Reads the counter, in J.
    """

    place: tuple[int, int]
    update_s: float
    look: Callable[[], float | None]
    counter_j: float | None = None
    looked_s: float = -math.inf
    until_s: float = -math.inf
    wanted: int = 0

    @property
    def look_period_s(self) -> float:
        """Pause between two reads."""
        return min(LONGEST_LOOK_PERIOD_S, self.update_s / LOOKS_A_PERIOD)

    def begin(self, now_s: float, counter_j: float | None) -> None:
        """Watch for the next updates after a reading that showed ``counter_j``."""
        self.counter_j = counter_j
        self.looked_s = now_s
        self.until_s = now_s + WATCHED_PERIODS * self.update_s
        self.wanted = 0 if counter_j is None else TICKS_AN_EDGE

    def tick(self, now_s: float) -> str | None:
        """Read the counter; the flag of an update since the last read, None without one."""
        counter_j = self.look()
        pause_s, self.looked_s = now_s - self.looked_s, now_s
        if counter_j is None or self.counter_j is None or now_s > self.until_s:
            self.wanted = 0
            return None
        before_j, self.counter_j = self.counter_j, counter_j
        if counter_j < before_j:
            self.wanted = 0
        if counter_j <= before_j:
            return None
        if pause_s > LATE_AFTER_LOOKS * self.look_period_s:
            return LATE_TICK
        self.wanted -= 1
        return TICK


class TickWatch:
    """The counters that tick, watched together for a short time after each edge."""

    def __init__(self) -> None:
        self._tickers: list[Ticker] = []

    def add(self, ticker: Ticker) -> None:
        """Add a counter, watched from the next edge on."""
        self._tickers.append(ticker)

    def begin(self, now_s: float, counter_j: Callable[[tuple[int, int]], float | None]) -> None:
        """Watch for the next updates.

        Args:
            now_s: Time of the edge.
            counter_j: Counter of the component at a place in the edge's reading.
        """
        for ticker in self._tickers:
            ticker.begin(now_s, counter_j(ticker.place))

    def pause_s(self) -> float | None:
        """Pause before the next read; None while no update is awaited."""
        pauses_s = [ticker.look_period_s for ticker in self._tickers if ticker.wanted]
        return min(pauses_s, default=None)

    def look(self, now_s: float) -> list[tuple[Ticker, str]]:
        """Read every watched counter; returns the updated ones, each with its flag."""
        flags = [(ticker, ticker.tick(now_s)) for ticker in self._tickers if ticker.wanted]
        return [(ticker, flag) for ticker, flag in flags if flag is not None]
