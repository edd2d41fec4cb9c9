"""A picture of accuracy against energy, with the frontier, as SVG that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 620, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 44, 52
SHEET = """
text { font: 12px system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: #1f2328; }
.title { font-weight: bold; } .tick { fill: #59636e; } .rule { stroke: #d1d9e0; }
.point { fill: #0b5c7a; } .best { fill: #bc4c00; } .spread { stroke: #8c959f; }
.frontier { fill: none; stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 5 3; }
.name { font-size: 10px; }
"""


@dataclass(frozen=True)
class Point:
    """A model: its energy, above 0, its score with the standard deviation.

    On the frontier a point shows its name, elsewhere its number in the table.
    """

    name: str
    energy: float
    score: float
    sd: float | None = None
    number: int | None = None


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: as cheap or cheaper, and better; by energy, rising."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.energy, -p.score)):
        if not best or point.score > best[-1].score:
            best.append(point)
    return best


def chart(panels: Sequence[tuple[str, Sequence[Point]]], score: str) -> str:
    """Panels side by side: score against energy on a logarithmic axis.

    Args:
        panels: Title of the axis of energy, and the points.
        score: Title of the axis of scores.
    """
    width = WIDTH * len(panels)
    drawn = [
        f'<g transform="translate({number * WIDTH} 0)">{_panel(title, points, score)}</g>'
        for number, (title, points) in enumerate(panels)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
            f'width="{width}" height="{HEIGHT}" role="img" '
            f'aria-label="{escape(score)} against energy">',
            f"<style>{SHEET}</style>",
            f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(title: str, points: Sequence[Point], score: str) -> str:
    if not points:
        return f'<text x="{LEFT}" y="{TOP}">{escape(title)}: no figures yet</text>'
    x = _Axis([math.log10(p.energy) for p in points], LEFT, WIDTH - RIGHT)
    y = _Axis([p.score for p in points], HEIGHT - BOTTOM, TOP)
    best = frontier(points)
    line = _frontier_line(best, x, y)
    marks = [_mark(point, x, y, point in best) for point in points]
    return "\n".join(
        [
            f'<text class="title" x="{LEFT}" y="22">{escape(f"{score} against: {title}")}</text>',
            *_ticks(x, y),
            line,
            *marks,
            *_names(points, best, x, y),
        ]
    )


class _Axis:
    """A linear scale with a margin of 6% on each side."""

    def __init__(self, values: Sequence[float], start_px: float, end_px: float) -> None:
        low, high = min(values), max(values)
        margin = 0.06 * (high - low) or 0.5
        self.low, self.high = low - margin, high + margin
        self._start_px, self._length_px = start_px, end_px - start_px

    def px(self, value: float) -> float:
        return self._start_px + (value - self.low) / (self.high - self.low) * self._length_px


def _ticks(x: _Axis, y: _Axis) -> list[str]:
    parts = []
    for value in _decades(x.low, x.high):
        px = x.px(math.log10(value))
        parts.append(
            f'<line class="rule" x1="{px:.1f}" x2="{px:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            f'<text class="tick" x="{px:.1f}" y="{HEIGHT - BOTTOM + 18}" '
            f'text-anchor="middle">{value:g}</text>'
        )
    step = _step(y.high - y.low)
    value = math.ceil(y.low / step) * step
    while value <= y.high:
        px = y.px(value)
        parts.append(
            f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{px:.1f}" y2="{px:.1f}"/>'
            f'<text class="tick" x="{LEFT - 8}" y="{px + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
        value += step
    return parts


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two logarithms."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [value for value in values if low <= math.log10(value) <= high]


def _step(span: float) -> float:
    return next((step for step in (0.5, 1, 2, 5, 10, 20) if span / step <= 10), 50.0)


def _frontier_line(best: Sequence[Point], x: _Axis, y: _Axis) -> str:
    """Steps: up to the next better point, the score stays that of the cheaper one."""
    path, last_y = "", 0.0
    for point in best:
        px, py = x.px(math.log10(point.energy)), y.px(point.score)
        path += f"M{px:.1f} {py:.1f}" if not path else f"L{px:.1f} {last_y:.1f}L{px:.1f} {py:.1f}"
        last_y = py
    return f'<path class="frontier" d="{path}L{WIDTH - RIGHT} {last_y:.1f}"/>'


def _mark(point: Point, x: _Axis, y: _Axis, is_best: bool) -> str:
    px, py = x.px(math.log10(point.energy)), y.px(point.score)
    spread = ""
    if point.sd:
        ends = (y.px(point.score - point.sd), y.px(point.score + point.sd))
        spread = (
            f'<line class="spread" x1="{px:.1f}" x2="{px:.1f}" y1="{ends[0]:.1f}" '
            f'y2="{ends[1]:.1f}"/>'
        )
    kind = "best" if is_best else "point"
    label = f"{point.name}: {point.score:.1f}, {point.energy:.3g}"
    return (
        f'{spread}<circle class="{kind}" cx="{px:.1f}" cy="{py:.1f}" r="3.5">'
        f"<title>{escape(label)}</title></circle>"
    )


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture, px."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def is_within(self, other: Box) -> bool:
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


PLOT = Box(LEFT, TOP - 14, WIDTH - RIGHT, HEIGHT - BOTTOM)
RADIUS = 4.0
LETTER, LINE = 5.8, 10.0
"""Size of a letter of a name, px."""


def _names(points: Sequence[Point], best: Sequence[Point], x: _Axis, y: _Axis) -> list[str]:
    """Names and numbers beside their points, where they cover neither points nor one another.

    A label that must be further away has a line to its point.
    """
    places = [(x.px(math.log10(p.energy)), y.px(p.score)) for p in points]
    occupied = [Box(px - RADIUS, py - RADIUS, px + RADIUS, py + RADIUS) for px, py in places]
    order = sorted(range(len(points)), key=lambda n: (points[n] not in best, places[n]))
    parts = []
    for number in order:
        point, (px, py) = points[number], places[number]
        is_named = point in best or point.number is None
        text = point.name if is_named else str(point.number)
        box, distance = _place(px, py, LETTER * len(text), occupied)
        occupied.append(box)
        if distance > 0:
            end_x = min(max(px, box.left), box.right)
            end_y = min(max(py, box.top), box.bottom)
            parts.append(
                f'<line class="spread" x1="{px:.1f}" y1="{py:.1f}" x2="{end_x:.1f}" '
                f'y2="{end_y:.1f}"/>'
            )
        parts.append(
            f'<text class="name" x="{box.left:.1f}" y="{box.bottom - 2:.1f}">{escape(text)}</text>'
        )
    return parts


def _place(px: float, py: float, width: float, occupied: Sequence[Box]) -> tuple[Box, int]:
    """The nearest free box around a point, and how many steps it is away; the first if none is."""
    boxes = []
    for distance in range(20):
        gap = RADIUS + 1 + 7 * distance
        middle = py - LINE / 2
        corners = [
            (px + gap, middle),
            (px - gap - width, middle),
            (px - width / 2, py - gap - LINE),
            (px - width / 2, py + gap),
            (px + gap * 0.7, py - gap * 0.7 - LINE),
            (px + gap * 0.7, py + gap * 0.7),
            (px - gap * 0.7 - width, py - gap * 0.7 - LINE),
            (px - gap * 0.7 - width, py + gap * 0.7),
        ]
        boxes += [(Box(left, top, left + width, top + LINE), distance) for left, top in corners]
    free = (
        (box, distance)
        for box, distance in boxes
        if box.is_within(PLOT) and not any(box.overlaps(other) for other in occupied)
    )
    return next(free, boxes[0])
