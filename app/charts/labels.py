"""Direct labels of series, without overlaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

LINE_PX = 16.0
"""Height of a label."""


def apart(
    values: Sequence[float], domain: tuple[float, float], *, height_px: float, log: bool = False
) -> list[float]:
    """Positions of labels near their values, each at least a line away from the next.

    Args:
        values: Where the labels belong, in data units.
        domain: Ends of the axis.
        height_px: Height of the axis.
        log: Whether the axis is logarithmic.
    """
    to = math.log if log else float
    low, high = to(domain[0]), to(domain[1])
    if high <= low or not values:
        return list(values)
    px = height_px / (high - low)
    order = sorted(range(len(values)), key=lambda n: values[n])
    places = [(to(values[n]) - low) * px for n in order]
    for step in range(1, len(places)):
        places[step] = max(places[step], places[step - 1] + LINE_PX)
    # What was pushed beyond the upper end goes back down.
    top = max(height_px, LINE_PX * (len(places) - 1))
    for step in range(len(places) - 1, -1, -1):
        places[step] = min(places[step], top - LINE_PX * (len(places) - 1 - step))
    moved = [low + place / px for place in places]
    back = dict(zip(order, map(math.exp, moved) if log else moved, strict=True))
    return [back[n] for n in range(len(values))]
