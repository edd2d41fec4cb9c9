"""What starting later would have saved, over recorded hourly intensities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
LEAST_STARTS = 24
"""Number of recorded starts below which nothing is stated: less than a day."""

TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Later:
    """A delay and its saving, as a share of the emissions without delay.

    Attributes:
        delay_h: Delay, in hours.
        mean: Mean over all recorded starts; None with too few.
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
    g_per_kwh: Mapping[datetime, float], *, duration_h: int, delays_h: Sequence[int]
) -> list[Later]:
    """What runs of one length with steady power would have saved by starting later.

    Each recorded hour is a start; those whose run, at once or delayed, reaches into a gap do not
    count.

    Args:
        g_per_kwh: Recorded intensities by the beginning of their hour.
        duration_h: Length of the runs, in hours.
        delays_h: Delays, in hours.
    """
    means = {hour: _mean(g_per_kwh, hour, duration_h) for hour in g_per_kwh}
    result = []
    for delay_h in delays_h:
        savings = []
        for hour, at_once in means.items():
            delayed = means.get(hour + delay_h * HOUR)
            if at_once and delayed is not None:
                savings.append(1 - delayed / at_once)
        result.append(_later(delay_h, sorted(savings)))
    return result


def _mean(g_per_kwh: Mapping[datetime, float], start: datetime, duration_h: int) -> float | None:
    values = [g_per_kwh.get(start + number * HOUR) for number in range(duration_h)]
    known = [value for value in values if value is not None]
    return sum(known) / duration_h if len(known) == duration_h else None


def _later(delay_h: int, savings: Sequence[float]) -> Later:
    number = len(savings)
    if number < LEAST_STARTS:
        return Later(delay_h, None, None, None, number)
    tail = round(TAIL * (number - 1))
    mean = sum(savings) / number
    low, high = savings[tail], savings[number - 1 - tail]
    return Later(delay_h, mean, min(low, mean), max(high, mean), number)
