"""Small charts as geometry: bars, lines and bands in percent of the plot, and labels of the axes.

The plot is stretched to its place on the page, so that its texts are beside it and stay readable
at every width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH, HEIGHT = 1000.0, 100.0
"""Size of the plot's own coordinates."""

TICKS = 4
STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of the vertical axis and its place, from the top."""

    text: str
    y: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle of a series."""

    series: int
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Path:
    """A line of a kind, or the outline of a band in the color of a series."""

    kind: str
    points: str
    series: int = 0


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart.

    Attributes:
        bars: Its bars.
        paths: Its lines and bands.
        ticks: Labels of the vertical axis, from top to bottom.
        labels: Labels of the horizontal axis, from left to right.
        unit: Unit of the vertical axis.
    """

    bars: Sequence[Bar]
    paths: Sequence[Path]
    ticks: Sequence[Tick]
    labels: Sequence[str]
    unit: str


def top_of(largest: float) -> float:
    """The end of an axis: the smallest round number in which the ticks are round, too."""
    if not (math.isfinite(largest) and largest > 0):
        return 1.0
    step = largest / TICKS
    power = 10.0 ** math.floor(math.log10(step))
    nice = next(each for each in STEPS if each * power >= step * (1 - 1e-9))
    return nice * power * TICKS


def ticks(top: float) -> list[Tick]:
    """The labels of an axis from 0 to ``top``."""
    return [
        Tick(_number(top * (TICKS - number) / TICKS), HEIGHT * number / TICKS)
        for number in range(TICKS + 1)
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e4 else f"{value:.6g}"


def stacked(
    columns: Sequence[Sequence[float]],
    titles: Sequence[Sequence[str]],
    top: float,
    series: Sequence[int] | None = None,
) -> list[Bar]:
    """Bars on top of each other, one column after another.

    Args:
        columns: Values of the series in each column; negative ones are not drawn.
        titles: Text of each bar.
        top: End of the vertical axis.
        series: Color of each series; that of its place by default.
    """
    if not columns:
        return []
    colors = range(len(columns[0])) if series is None else series
    step = WIDTH / len(columns)
    gap = step * 0.12 if len(columns) <= 120 else 0.0
    bars = []
    for number, (values, texts) in enumerate(zip(columns, titles, strict=True)):
        base = HEIGHT
        for color, value, text in zip(colors, values, texts, strict=True):
            height = max(value, 0.0) / top * HEIGHT
            base -= height
            if height > 0:
                x = number * step + gap / 2
                bars.append(Bar(color, _2(x), _2(base), _2(step - gap), _2(height), text))
    return bars


def line(kind: str, points: Sequence[tuple[float, float]], top: float) -> Path:
    """A line through points, each a share of the width (0 to 1) and a value."""
    return Path(kind, " ".join(_point(x, y, top) for x, y in points))


def band(
    series: int, points: Sequence[tuple[float, float, float]], top: float, *, faint: bool = True
) -> Path:
    """An area between two values, each point a share of the width, the low and the high value."""
    upper = [_point(x, high, top) for x, _, high in points]
    lower = [_point(x, low, top) for x, low, _ in reversed(points)]
    return Path("faint" if faint else "area", " ".join([*upper, *lower]), series)


def _point(x: float, y: float, top: float) -> str:
    share = min(max(y / top, 0.0), 1.0)
    return f"{_2(min(max(x, 0.0), 1.0) * WIDTH)},{_2(HEIGHT * (1 - share))}"


def _2(value: float) -> float:
    return round(value, 2)


def buckets(start: datetime, stop: datetime, grain: str) -> list[datetime]:
    """The beginnings of all hours, days or months (UTC) of a range."""
    at = start.replace(minute=0, second=0, microsecond=0)
    at = at if grain == "hour" else at.replace(hour=0)
    at = at.replace(day=1) if grain == "month" else at
    found = []
    while at < stop:
        found.append(at)
        if grain == "month":
            at = (at + timedelta(days=32)).replace(day=1)
        else:
            at += timedelta(hours=1) if grain == "hour" else timedelta(days=1)
    return found


def spread(labels: Sequence[str], most: int = 6) -> list[str]:
    """A few labels of many, the first and the last among them."""
    if len(labels) <= most:
        return list(labels)
    last = len(labels) - 1
    return [labels[round(number * last / (most - 1))] for number in range(most)]
