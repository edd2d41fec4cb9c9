"""Thins long series to what the eye can see; extremes stay."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float | None]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Up to ``most`` points: the lowest and the highest of each interval, in order. An interval
    with a gap (None) keeps the gap.

    Args:
        points: ``(x, y)`` in the order of x; y is None in a gap.
        most: Maximum number of points, at least 4.
    """
    if len(points) <= most:
        return list(points)
    stretches = max(1, most // 3)
    selected: list[Point] = []
    for n in range(stretches):
        part = points[n * len(points) // stretches : (n + 1) * len(points) // stretches]
        selected += _extremes(part)
    return selected


def _extremes(part: Sequence[Point]) -> list[Point]:
    numbers = [n for n, (_, y) in enumerate(part) if y is not None]
    gap = next((n for n, (_, y) in enumerate(part) if y is None), None)
    positions = set() if gap is None else {gap}
    if numbers:
        positions |= {
            min(numbers, key=lambda n: part[n][1] or 0.0),
            max(numbers, key=lambda n: part[n][1] or 0.0),
        }
    return [part[n] for n in sorted(positions)]
