"""Reasons of unknown figures that several cells share, as footnotes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

_UNKNOWN = re.compile(r"n/a \((.+)\)", re.DOTALL)
_MARK = re.compile(r"[a-z]{1,2}")


def reason_of(cell: str) -> str | None:
    """The reason in a cell of an unknown figure, ``n/a (reason)``; None in any other cell."""
    match = _UNKNOWN.fullmatch(cell)
    return None if match is None or _MARK.fullmatch(match[1]) else match[1]


def shared_reasons(
    cells: Iterable[str], earlier: Iterable[str] = (), *, least: int = 2
) -> list[str]:
    """The reasons of ``least`` cells or more, or that already have a footnote, in order."""
    counts = Counter(reason for cell in cells if (reason := reason_of(cell)) is not None)
    noted = set(earlier)
    return [reason for reason, count in counts.items() if count >= least or reason in noted]


def marked(cell: str, marks: Mapping[str, str]) -> str:
    """The cell, with its reason replaced by the reason's mark, if it has one."""
    reason = reason_of(cell)
    return cell if reason is None or reason not in marks else f"n/a {marks[reason]}"


def footnoted(
    cells: Sequence[str],
    mark: Callable[[int], str] = lambda index: f"[{index + 1}]",
    *,
    least: int = 2,
) -> tuple[list[str], list[str]]:
    """Cells with marks for shared reasons, and the footnotes.

    Args:
        cells: Texts of figures.
        mark: Returns the mark of the footnote with an index, from 0.
        least: Minimum number of cells with a reason for a footnote; 1 for narrow cells.
    """
    reasons = shared_reasons(cells, least=least)
    marks = {reason: mark(index) for index, reason in enumerate(reasons)}
    return [marked(cell, marks) for cell in cells], [f"{m} {reason}" for reason, m in marks.items()]


def letter(index: int) -> str:
    """``a`` to ``z``, then ``aa``, ``ab``, ..."""
    letters = ""
    index += 1
    while index:
        index, place = divmod(index - 1, 26)
        letters = chr(ord("a") + place) + letters
    return letters
