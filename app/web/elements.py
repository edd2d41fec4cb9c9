"""Parts of pages that a page has hundreds of: a figure, a status, a time.

They are functions: macros of a template take five times their CPU time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from pricetag.tag.status import status_text

_SPECIAL = re.compile("[&<>'\"]")


def _safe(text: str) -> str:
    """A text with its special characters escaped; nearly all texts have none."""
    return str(escape(text)) if _SPECIAL.search(text) else text


@dataclass(frozen=True, slots=True)
class Elements:
    """The parts of one page.

    Attributes:
        icons: Address of the file of icons, as seen from the page.
    """

    icons: str

    @classmethod
    def of(cls, icons: str) -> Elements:
        """The parts of a page.

        Args:
            icons: Address of the file of icons, as seen from the page.
        """
        return cls(_safe(icons))

    def icon(self, name: str) -> Markup:
        """An icon."""
        return Markup(self._icon(name))

    def _icon(self, name: str) -> str:
        return (
            '<svg class="icon" aria-hidden="true" focusable="false">'
            f'<use href="{self.icons}#{_safe(name)}"></use></svg>'
        )

    def source(self, kind: str | None, words: bool = True, word: str | None = None) -> Markup:
        """A shape and a word: the evidence behind a figure.

        Args:
            kind: Kind of the evidence; None for none.
            words: Whether the word is shown; otherwise it is read aloud, and is the title.
            word: Word to use; the kind itself if None.
        """
        return Markup(self._source(kind, words, word) if kind else "")

    def _source(self, kind: str, words: bool, word: str | None = None) -> str:
        name, word = _safe(kind), _safe(word or kind)
        title, hidden = ("", "") if words else (f' title="{word}"', ' class="hidden"')
        return (
            f'<span class="source source-{name}"{title}>'
            '<svg class="shape" aria-hidden="true" focusable="false">'
            f'<use href="{self.icons}#source-{name}"></use></svg>'
            f"<span{hidden}>{word}</span></span>"
        )

    def figure(self, view: Any, compact: bool = False, mark: str = "so far") -> Markup:
        """A figure: value, unit, interval, source and what it is without; or n/a with its reason.

        Args:
            view: A `FigureView`.
            compact: Whether the unit is left to the head of the column, and the source is a shape.
            mark: Mark of a figure that may still change.
        """
        if view.value is None:
            return Markup(
                '<details class="figure unknown"><summary>n/a</summary>'
                f"<p>{_safe(str(view.reason))}</p></details>"
            )
        unit = interval = source = provisional = reason = kind = ""
        if view.unit and not compact:
            unit = f' <span class="unit">{_safe(view.unit)}</span>'
        if view.interval:
            interval = f' <span class="interval">{_safe(view.interval)}</span>'
        if view.source:
            source = f" {self._source(view.source, not compact, view.evidence)}"
        if view.is_provisional:
            kind = " provisional"
            provisional = f' <span class="provisional-mark">{_safe(mark)}</span>'
        if view.reason:
            reason = f' <span class="hint caveat">{_safe(view.reason)}</span>'
        return Markup(
            f'<span class="figure{kind}" title="{_safe(view.exact)}">'
            f'<data value="{view.value}">{_safe(view.text)}{unit}</data>'
            f"{interval}{source}{provisional}</span>{reason}"
        )

    def status(self, name: str) -> Markup:
        """A status: shape, color and word."""
        return Markup(
            f'<span class="status status-{_safe(name)}">{self._icon(f"status-{name}")}'
            f"{_safe(status_text(name))}</span>"
        )

    @staticmethod
    def time(moment: datetime | None, absent: str = "never") -> Markup:
        """A time: UTC here, in the reader's zone by times.js.

        Args:
            moment: The time; None for none.
            absent: Text for none.
        """
        if not moment:
            return Markup(f'<span class="muted">{_safe(absent)}</span>')
        return Markup(
            f'<time datetime="{moment.isoformat()}">{moment.strftime("%Y-%m-%d %H:%M")} UTC</time>'
        )

    @staticmethod
    def rows(rows: Sequence[Sequence[Any]]) -> Markup:
        """The rows of the table beside a chart.

        Args:
            rows: A `CellView` for each column; the first one of a row is its heading.
        """
        return Markup("\n".join(map(_row, rows)))


def _row(cells: Sequence[Any]) -> str:
    parts: list[str] = []
    for cell in cells:
        text = _safe(cell.text)
        if not parts:
            parts.append(f'<th scope="row"><bdi class="clip">{text}</bdi></th>')
        elif cell.is_number:
            parts.append(f'<td class="number" title="{cell.value}"><bdi>{text}</bdi></td>')
        else:
            parts.append(f"<td><bdi>{text}</bdi></td>")
    return f"<tr>{''.join(parts)}</tr>"
