"""The start with the lowest forecast carbon intensity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Start:
    """A start, and the mean intensity over the run that begins there.

    Attributes:
        at: Time of the start.
        g_per_kwh: Mean carbon intensity over the run, in g CO2e/kWh.
    """

    at: datetime
    g_per_kwh: float


def mean_intensity(
    g_per_kwh: Mapping[datetime, float], start: datetime, stop: datetime
) -> float | None:
    """The mean intensity of a range, each hour weighted by its share of the range.

    Args:
        g_per_kwh: Intensities by the beginning of their hour, in UTC.
        start: Beginning of the range.
        stop: Its end, later than the beginning.

    Returns:
        The mean in g CO2e/kWh; None if an hour of the range is missing.
    """
    weighted = 0.0
    hour = start.replace(minute=0, second=0, microsecond=0)
    while hour < stop:
        value = g_per_kwh.get(hour)
        if value is None:
            return None
        weighted += value * (min(hour + HOUR, stop) - max(hour, start)).total_seconds()
        hour += HOUR
    return weighted / (stop - start).total_seconds()


def greenest(
    g_per_kwh: Mapping[datetime, float],
    *,
    earliest: datetime,
    latest: datetime,
    duration: timedelta,
) -> Start | None:
    """The start whose run, at steady power, emits least; the first of several equal ones.

    Within an hour the intensity is constant, so that the mean over a run is linear in its start
    between two full hours of its start or end: one of these, or an end of the range, is lowest.

    Args:
        g_per_kwh: Intensities by the beginning of their hour, in UTC.
        earliest: Earliest start.
        latest: Latest start.
        duration: Length of the run.

    Returns:
        The start; None if no run that begins in the range lies within the given hours.
    """
    best: Start | None = None
    for at in _candidates(earliest, latest, duration):
        mean = mean_intensity(g_per_kwh, at, at + duration)
        if mean is not None and (best is None or mean < best.g_per_kwh):
            best = Start(at, mean)
    return best


def _candidates(earliest: datetime, latest: datetime, duration: timedelta) -> Iterator[datetime]:
    starts = {earliest, latest}
    for shift in (timedelta(), duration):
        hour = (earliest + shift).replace(minute=0, second=0, microsecond=0) + HOUR
        while hour - shift <= latest:
            starts.add(hour - shift)
            hour += HOUR
    yield from sorted(starts)
