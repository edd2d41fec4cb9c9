"""The SHA-256 of a document in each version of the accounting, and document comparison."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pricetag.accounting.document.jcs import canonical_json

EXACT_UP_TO = 2**53
"""Largest whole number that is exact in JSON."""


def content_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical text of a document, in UTF-8.

    The text of a number does not depend on its form (1, 1.0 or 1e0), since databases and JSON
    libraries do not distinguish these; a whole number above 2^53 is written as the nearest
    double.

    Raises:
        ValueError: If a number is not finite.

    Source:
        RFC 8785, JSON Canonicalization Scheme.
    """
    return _sha256(canonical_json(content))


def content_sha256_v2(content: Mapping[str, Any]) -> str:
    """The hash of accounting version 2.

    Keys are ordered by code points; numbers are Python's repr, whole numbers as integers.
    """
    return _sha256(_python_json(_whole_as_integers(content)))


def content_sha256_v1(content: Mapping[str, Any]) -> str:
    """The hash of accounting version 1, with numbers as in Python."""
    return _sha256(_python_json(content))


def known_sha256(content: Mapping[str, Any], accounting_version: object) -> tuple[str, ...]:
    """The possible hashes of a price tag of an accounting version, its own form first.

    Some price tags of version 1 have the form of version 2, since the form changed before the
    version number.
    """
    if accounting_version == "1":
        return content_sha256_v1(content), content_sha256_v2(content)
    if accounting_version == "2":
        return (content_sha256_v2(content),)
    return (content_sha256(content),)


def hashed_text(content: Mapping[str, Any], sha256: str) -> str:
    """The text of a price tag whose SHA-256 is its hash, in whichever version it was issued.

    Raises:
        ValueError: If no version of the accounting gives the content this hash.
    """
    texts = (canonical_json, _python_json, lambda value: _python_json(_whole_as_integers(value)))
    for write in texts:
        text = write(content)
        if _sha256(text) == sha256:
            return text
    raise ValueError(f"the content does not have the hash {sha256}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _python_json(content: Any) -> str:
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _whole_as_integers(value: Any) -> Any:
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int) and abs(value) <= EXACT_UP_TO:
        return value
    if isinstance(value, int | float):
        number = float(value)
        return int(number) if math.isfinite(number) and number.is_integer() else number
    if isinstance(value, Mapping):
        return {str(key): _whole_as_integers(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_whole_as_integers(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not JSON")


def first_difference(
    first_value: Any, second_value: Any, path: str = "", sides: tuple[str, str] | None = None
) -> str | None:
    """Path of the first difference of two JSON documents, with both values; None if equal.

    Numbers are compared to the last digit of a double. ``sides`` are the names of the two, such
    as ``("the file", "the server")``.
    """
    first, second = sides or ("the first", "the second")
    if isinstance(first_value, Mapping) and isinstance(second_value, Mapping):
        for key in sorted(first_value.keys() | second_value.keys()):
            here = f"{path}.{key}" if path else str(key)
            if key not in first_value or key not in second_value:
                return f"{here}: only in {second if key not in first_value else first}"
            difference = first_difference(first_value[key], second_value[key], here, sides)
            if difference is not None:
                return difference
        return None
    if isinstance(first_value, list | tuple) and isinstance(second_value, list | tuple):
        for index, (mine, theirs) in enumerate(zip(first_value, second_value, strict=False)):
            difference = first_difference(mine, theirs, f"{path}[{index}]", sides)
            if difference is not None:
                return difference
        if len(first_value) == len(second_value):
            return None
        return f"{path}: {_beside(str(len(first_value)), f'{len(second_value)} entries', sides)}"
    if _same(first_value, second_value):
        return None
    return f"{path}: {_beside(repr(first_value), repr(second_value), sides)}"


def _same(first: Any, second: Any) -> bool:
    numbers = [
        isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second)
    ]
    if all(numbers):
        return float(first) == float(second)
    return type(first) is type(second) and bool(first == second)


def _beside(first: str, second: str, sides: tuple[str, str] | None) -> str:
    if sides is None:
        return f"{first} and {second}"
    return f"{first} in {sides[0]}, {second} in {sides[1]}"
