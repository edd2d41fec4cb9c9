"""Draw what a command printed as a picture for the documentation.

    pricetag show last | python -m docs.picture "pricetag show last" > docs/images/price-tag.svg

The picture holds its text as text and loads nothing: it is set in the reader's monospace font.
"""

from __future__ import annotations

import re
import sys
from html import escape

FONT_PX = 14
LINE_PX = 19
CHAR_PX = 8.43  # width of a character of common monospace fonts at this size
EDGE_PX = 22
HEAD_PX = 40
STYLES = (
    ("evidence", r"\b(?:counter|integrated|modelled|estimated|assumed)\b"),
    ("interval", r"\d[\d.,]* to [\d.,]*\d"),
    ("rule", r"─+"),
)
STRONG = re.compile(r"(?:IT energy|Facility energy|CO2e) {3,}")
_MARK = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in STYLES))
SHEET = f"""
text {{ font: {FONT_PX}px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
  fill: #1f2328; white-space: pre; }}
.title {{ fill: #59636e; }}
.strong {{ font-weight: bold; }}
.evidence {{ fill: #8250df; }}
.interval {{ fill: #0969da; }}
.rule {{ fill: #b0b8c1; }}
"""


def picture(lines: list[str], title: str) -> str:
    """An SVG of the lines under a title."""
    width = round(max(len(line) for line in lines) * CHAR_PX + 2 * EDGE_PX)
    height = HEAD_PX + len(lines) * LINE_PX + EDGE_PX
    rows = [_row(line, HEAD_PX + (number + 1) * LINE_PX) for number, line in enumerate(lines)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" aria-label="{escape(title)}">',
            f"<style>{SHEET}</style>",
            f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" '
            'fill="#ffffff" stroke="#d1d9e0"/>',
            f'<text class="title" x="{EDGE_PX}" y="26" xml:space="preserve">$ {escape(title)}'
            "</text>",
            *rows,
            "</svg>\n",
        ]
    )


def _row(line: str, y_px: int) -> str:
    name = ' class="strong"' if STRONG.match(line) else ""
    return f'<text{name} x="{EDGE_PX}" y="{y_px}" xml:space="preserve">{_marked(line)}</text>'


def _marked(line: str) -> str:
    """The line with figures' intervals and evidence marked."""
    parts, end = [], 0
    for match in _MARK.finditer(line):
        parts.append(escape(line[end : match.start()], quote=False))
        parts.append(f'<tspan class="{match.lastgroup}">{escape(match.group())}</tspan>')
        end = match.end()
    return "".join(parts) + escape(line[end:], quote=False)


def main() -> None:
    """Reads what was printed from standard input and writes the picture to standard output."""
    lines = [line.rstrip() for line in sys.stdin.read().splitlines()]
    sys.stdout.write(picture(lines, " ".join(sys.argv[1:])))


if __name__ == "__main__":
    main()
