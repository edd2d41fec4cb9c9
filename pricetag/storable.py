"""Values that PostgreSQL text and JSON can store, and those that they cannot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

INT64_MAX = 2**63 - 1

Problem = Literal["nul", "surrogate", "not-finite", "integer", "type", "key", "depth", "values"]
"""NUL in text, half of a surrogate pair, NaN or infinity, an integer beyond 64 bits, no JSON type,
a key that is not text, nested too deeply, too many values."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A value that cannot be stored.

    Attributes:
        path: Keys and indices of the value; for a key, of its object.
        problem: Why it cannot be stored.
        value: The value, or the key.
        in_key: Whether the problem is in a key.
    """

    path: Path
    problem: Problem
    value: object
    in_key: bool = False


def problem_of(value: object) -> Problem | None:
    """Reason why a value, apart from its content, cannot be stored; None if it can."""
    if isinstance(value, str):
        if "\x00" in value:
            return "nul"
        return None if is_unicode(value) else "surrogate"
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return "integer" if abs(value) > INT64_MAX else None
    if isinstance(value, float):
        return None if math.isfinite(value) else "not-finite"
    return None if isinstance(value, Mapping | list) else "type"


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded as UTF-8; JSON escapes may contain half a surrogate pair."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def faults(value: object, *, max_depth: int, max_values: int) -> Iterator[Fault]:
    """All values in decoded JSON or YAML that cannot be stored; ends at the first exceeded limit.

    Args:
        value: Any value; tuples count as lists, and are themselves a fault.
        max_depth: Maximum nesting depth.
        max_values: Maximum number of values, including objects and lists.
    """
    pending: list[tuple[Path, object]] = [((), value)]
    value_count = 0
    while pending:
        path, item = pending.pop()
        value_count += 1
        if len(path) > max_depth or value_count > max_values:
            yield Fault(path, "depth" if len(path) > max_depth else "values", item)
            return
        problem = problem_of(item)
        if problem:
            yield Fault(path, problem, item)
        if isinstance(item, Mapping):
            for key, child in item.items():
                key_problem = problem_of(key) if isinstance(key, str) else "key"
                if key_problem:
                    yield Fault(path, key_problem, key, in_key=True)
                if isinstance(key, str):
                    pending.append(((*path, key), child))
        elif isinstance(item, list | tuple):
            pending.extend(((*path, index), child) for index, child in enumerate(item))


def storable(value: Any, *, max_depth: int) -> Any:
    """The value in a form that can be stored.

    In text, each NUL and each half of a surrogate pair becomes a replacement character; a number
    that is not finite becomes null; an integer beyond 64 bits becomes a text with its length.

    Raises:
        RecursionError: If it is nested deeper than `max_depth` levels.
    """
    if max_depth < 0:
        raise RecursionError("nested too deeply")
    # Records have mostly these, and there are thousands of records in a request.
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is str:
        return storable_text(value)
    if value is None or kind is bool:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {
            storable_text(str(name)): storable(item, max_depth=max_depth - 1)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [storable(item, max_depth=max_depth - 1) for item in value]
    problem = problem_of(value)
    if problem == "not-finite":
        return None
    if problem == "integer":
        return f"{value.bit_length()}-bit integer"
    return storable_text(value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """The text with a replacement character for each NUL and each half of a surrogate pair."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
