"""Hints about misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

MOST_SIMILAR = 3


def similar(name: str, existing: Iterable[str]) -> Sequence[str]:
    """Existing names that are alike in any case of letters, most similar first."""
    originals: dict[str, str] = {}
    for candidate in existing:
        originals.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), originals, n=MOST_SIMILAR)
    return [originals[candidate] for candidate in close]


def did_you_mean(names: Iterable[str]) -> str:
    """The end of a message about an unknown name: a question with similar names, or a period."""
    listed = ", ".join(f"'{name}'" for name in names)
    return f"; did you mean {listed}?" if listed else "."
