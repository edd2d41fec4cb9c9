"""Converts arguments of ``pricetag.log`` and similar functions for JSON and the database.

Scripts pass NumPy scalars, tensors, enums, paths and splits. Arguments with an obvious value are
converted; for others the functions here return None, and the caller warns.
"""

from __future__ import annotations

import enum
import math
import operator
from pathlib import PurePath
from typing import SupportsFloat, SupportsIndex

MAX_NAME = 200
"""Maximum length of the name of a stage, a metric, a split or a unit, in characters."""

MAX_STEP = 2**63 - 1
"""Maximum absolute step that the database can store."""


def number(value: object) -> float | None:
    """``value`` as a float (also from NumPy or torch); None if it is not a single number.

    An integer beyond the range of a float becomes infinity.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsFloat | SupportsIndex):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except Exception:  # an array, a tensor on a broken device, ...
        return _only_element(value)


def _only_element(value: object) -> float | None:
    """The number in an array of one element; None for every other value."""
    try:
        element = value.item()  # type: ignore[attr-defined]  # what has none raises
        return float(element) if isinstance(element, int | float) else None
    except Exception:  # several elements, or whatever else
        return None


def whole_number(value: object) -> int | None:
    """``value`` as a step that can be stored; None if it is not whole or out of range."""
    if isinstance(value, bool):
        return None
    try:
        step = operator.index(value)  # type: ignore[arg-type]  # what has no index raises
    except Exception:  # floats have none; tensors of several elements raise what they like
        as_float = number(value)
        if as_float is None or not as_float.is_integer():
            return None
        step = int(as_float)
    return step if abs(step) <= MAX_STEP else None


def truth(value: object) -> bool | None:
    """Whether ``value`` is true; None if that is undefined, as for an array of several values."""
    try:
        return bool(value)
    except Exception:  # whatever its __bool__ raises
        return None


def text(value: object) -> str | None:
    """``value`` as a short text; also enums (their value), bytes (as UTF-8) and paths.

    Returns:
        At most :data:`MAX_NAME` characters; None if there is no obvious text.
    """
    try:
        shown = _text(value)
    except Exception:  # a __str__ that raises
        return None
    return None if shown is None else cut(shown)


def cut(name: str, most: int = MAX_NAME) -> str:
    """At most ``most`` characters, with an ellipsis instead of the rest."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _text(value: object) -> str | None:
    if isinstance(value, enum.Enum):
        return _text(value.value) or value.name
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool | int | float | PurePath):
        return str(value)
    says_itself = type(value).__str__ is not object.__str__
    return str(value) if says_itself else None
