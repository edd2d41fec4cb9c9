"""What starting later would have saved, over recorded hourly intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
LEAST_STARTS = 3
"""Number of recorded starts below which nothing is stated."""

TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Later:
    """A delay and its saving, as a share of the emissions without delay.

    Attributes:
        delay_h: Delay, in hours.
        mean: Saving of all recorded starts together; None with too few.
        low: 2.5% quantile over them.
        high: 97.5% quantile.
        starts: Number of recorded starts.
    """

    delay_h: int
    mean: float | None
    low: float | None
    high: float | None
    starts: int


def later(
    g_per_kwh: Mapping[datetime, float],
    *,
    duration_h: int,
    start_hour: int,
    delays_h: Sequence[int],
) -> list[Later]:
    """What runs of one length with steady power would have saved by starting later.

    Each recorded day is a start at one hour of the day; those whose run, at once or delayed,
    reaches into a gap do not count.

    Args:
        g_per_kwh: Recorded intensities by the beginning of their hour, in UTC.
        duration_h: Length of the runs, in hours.
        start_hour: Hour of the day (UTC) at which they would have started.
        delays_h: Delays, in hours.
    """
    starts = [hour for hour in sorted(g_per_kwh) if hour.hour == start_hour]
    result = []
    for delay_h in delays_h:
        pairs = []
        for start in starts:
            at_once = _mean(g_per_kwh, start, duration_h)
            delayed = _mean(g_per_kwh, start + delay_h * HOUR, duration_h)
            if at_once and delayed is not None:
                pairs.append((at_once, delayed))
        result.append(_later(delay_h, pairs))
    return result


def _mean(g_per_kwh: Mapping[datetime, float], start: datetime, duration_h: int) -> float | None:
    values = [g_per_kwh.get(start + number * HOUR) for number in range(duration_h)]
    recorded = [value for value in values if value is not None]
    return sum(recorded) / duration_h if len(recorded) == duration_h else None


def _later(delay_h: int, pairs: Sequence[tuple[float, float]]) -> Later:
    number = len(pairs)
    if number < LEAST_STARTS:
        return Later(delay_h, None, None, None, number)
    savings = sorted(1 - delayed / at_once for at_once, delayed in pairs)
    tail = round(TAIL * (number - 1))
    mean = 1 - sum(delayed for _, delayed in pairs) / sum(at_once for at_once, _ in pairs)
    low, high = savings[tail], savings[number - 1 - tail]
    return Later(delay_h, mean, min(low, mean), max(high, mean), number)
