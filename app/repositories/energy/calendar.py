"""The UTC hours, days and months that make up a range, in as few rows as possible."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Level = Literal["month", "day", "hour"]

LEVELS: tuple[Level, ...] = ("month", "day", "hour")
"""From the coarsest to the finest."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows of one level to add, or to subtract again.

    Attributes:
        level: Level of the rows.
        start: Beginning of the first row.
        stop: End, exclusive.
        sign: 1 or -1.
    """

    level: Level
    start: datetime
    stop: datetime
    sign: int = 1


def floor(moment: datetime, level: Level) -> datetime:
    """Beginning of the UTC month, day or hour."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if level == "hour":
        return hour
    return hour.replace(hour=0) if level == "day" else hour.replace(hour=0, day=1)


def after(moment: datetime, level: Level) -> datetime:
    """Beginning of the UTC month, day or hour after the one of ``moment``."""
    if level == "month":
        return floor(floor(moment, "month") + timedelta(days=31), "month")
    return floor(moment, level) + (timedelta(days=1) if level == "day" else timedelta(hours=1))


def cover(
    start: datetime, stop: datetime, levels: tuple[Level, ...] = LEVELS, sign: int = 1
) -> list[Segment]:
    """The rows whose sum is that of the hours in ``[start, stop)``.

    Where more than half of a month or day at either end is wanted, all of it is added and the
    rest subtracted; sums are exact, so that this is the same.

    Args:
        start: A full hour of UTC.
        stop: Likewise.
        levels: Those to use, from the coarsest; the last is ``hour``.
        sign: Of the sum.
    """
    if start >= stop:
        return []
    level, finer = levels[0], levels[1:]
    if not finer:
        return [Segment(level, start, stop, sign)]
    first = floor(start, level)
    first = first if first == start else after(start, level)
    last = floor(stop, level)
    if first > last:
        return cover(start, stop, finer, sign)
    edges: list[Segment] = []
    if start < first:
        aligned = floor(start, level)
        segments, is_whole = _edge((start, first), (aligned, start), finer, sign)
        edges += segments
        first = aligned if is_whole else first
    if last < stop:
        end = after(last, level)
        segments, is_whole = _edge((last, stop), (stop, end), finer, sign)
        edges += segments
        last = end if is_whole else last
    inner = [Segment(level, first, last, sign)] if first < last else []
    return inner + edges


def _edge(
    inside: tuple[datetime, datetime],
    outside: tuple[datetime, datetime],
    levels: tuple[Level, ...],
    sign: int,
) -> tuple[list[Segment], bool]:
    """One row of which only a part is wanted, by rows of finer levels.

    Args:
        inside: The wanted part of the row.
        outside: The rest of the row.
        levels: The finer levels.
        sign: Of the sum.

    Returns:
        The segments, and whether the whole row is to be added as well.
    """
    if inside[1] - inside[0] > outside[1] - outside[0]:
        return cover(*outside, levels, -sign), True
    return cover(*inside, levels, sign), False
