"""Class names: from cells of a table or options of a job, and their order."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

PUBLISHED_PAIRS = (
    ("not_equivalent", "equivalent"),
    ("not_duplicate", "duplicate"),
    ("unacceptable", "acceptable"),
    ("negative", "positive"),
    ("entailment", "not_entailment"),
)
"""Two-class tasks in the numbering of GLUE: class 0, class 1.

Source: Wang et al. 2018, GLUE, doi:10.18653/v1/W18-5446; class numbers of the published sets.
"""

_NEGATIONS = ("not", "non", "no", "un", "in", "im", "ir", "il", "dis")
_NEGATIVE = frozenset({"no", "not", "none", "n", "neg", "negative", "false", "f"})
_POSITIVE = frozenset({"yes", "y", "pos", "positive", "true", "t"})
_GENERIC = re.compile(r"LABEL_(\d+)", re.IGNORECASE)


def class_name(value: object) -> str | None:
    """Class name of a value: ``1``, ``"1"`` and ``1.0`` are one class; None for an empty value."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def class_order(names: Collection[str]) -> list[str]:
    """Class names in the order of their numbers from 0.

    Integers are sorted by number and names alphabetically. Of two names, the positive class is the
    last one: as in GLUE, or else the one negated by the other (``not_x``, ``non-x``, ``un...``).
    """
    ordered = sorted(set(names), key=_by_number_or_name)
    if len(ordered) == 2 and _is_reversed(*ordered):
        ordered.reverse()
    return ordered


def alike_names(names: Collection[str]) -> tuple[str, str] | None:
    """Two names that look like one class: they differ only in case, blanks or as ``1`` and ``1.0``.

    None if there are no two such names.
    """
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(_folded(name), name)
        if other != name:
            return other, name
    return None


def generic_names(names: Sequence[str]) -> bool:
    """Whether a model's classes have no names of their own: ``LABEL_0``, ``LABEL_1``, ..."""
    matches = [_GENERIC.fullmatch(name) for name in names]
    return all(m is not None and int(m[1]) == number for number, m in enumerate(matches))


def find_class(name: str, names: Sequence[str]) -> int | None:
    """Index of a class in ``names``: an exact match, or else one that ignores case.

    None if there is no match, or several that differ only in case.
    """
    if name in names:
        return names.index(name)
    folded = name.casefold()
    alike = [number for number, other in enumerate(names) if other.casefold() == folded]
    return alike[0] if len(alike) == 1 else None


def same_classes(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two lists contain the same classes, in any order and case."""
    numbers = {find_class(name, second) for name in first}
    return len(first) == len(second) == len(numbers) and None not in numbers


def _by_number_or_name(name: str) -> tuple[int, int, str]:
    # ``int`` alone would accept ``1_000`` and reject numbers of more than 4,300 digits.
    if re.fullmatch(r"[+-]?[0-9]{1,300}", name):
        return (0, int(name), name)
    return (1, 0, name)


def _is_reversed(first: str, second: str) -> bool:
    """Whether the first of two classes is the positive one."""
    first_label, second_label = _plain(first), _plain(second)
    for negative, positive in PUBLISHED_PAIRS:
        if {first_label, second_label} == {negative, positive}:
            return first_label == positive
    if first_label in _NEGATIVE or second_label in _POSITIVE:
        return False
    return (
        second_label in _NEGATIVE or first_label in _POSITIVE or _negates(second_label, first_label)
    )


def _folded(name: str) -> str:
    if re.fullmatch(r"[+-]?[0-9]{1,300}(\.0*)?", name):
        return str(int(name.partition(".")[0]))
    return " ".join(name.casefold().split())


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _negates(name: str, other: str) -> bool:
    return any(name in (prefix + other, f"{prefix}_{other}") for prefix in _NEGATIONS)
