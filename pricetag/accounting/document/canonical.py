"""The SHA-256 of a document, in the form of each version of the accounting; where two differ."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pricetag.accounting.document.jcs import canonical_json

EXACT_UP_TO = 2**53
"""Beyond this, whole numbers are not exact in JSON."""


def content_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical text of a document, in UTF-8.

    A number is written the same whether it came as 1, 1.0 or 1e0, since databases and JSON
    libraries do not keep these apart; a whole number above 2^53 as the double next to it.

    Raises:
        ValueError: If a number is not finite.

    Source:
        RFC 8785, JSON Canonicalization Scheme.
    """
    return _sha256(canonical_json(content))


def content_sha256_v2(content: Mapping[str, Any]) -> str:
    """The same as accounting version 2 wrote it.

    Keys in the order of their code points, numbers as Python's repr, whole ones as integers.
    """
    return _sha256(_python_json(_whole_as_integers(content)))


def content_sha256_v1(content: Mapping[str, Any]) -> str:
    """The same as accounting version 1 wrote it, with numbers as Python has them."""
    return _sha256(_python_json(content))


def known_sha256(content: Mapping[str, Any], accounting_version: object) -> tuple[str, ...]:
    """The hashes that a price tag of an accounting version may have, its own form first.

    Some of version 1 have the form of version 2, which changed before the number did.
    """
    if accounting_version == "1":
        return content_sha256_v1(content), content_sha256_v2(content)
    if accounting_version == "2":
        return (content_sha256_v2(content),)
    return (content_sha256(content),)


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
    one: Any, other: Any, path: str = "", sides: tuple[str, str] | None = None
) -> str | None:
    """The path at which two JSON documents first differ, with both values; None if nowhere.

    Numbers are compared to the last digit of a double. ``sides`` are what the two are called,
    such as ``("the file", "the server")``.
    """
    first, second = sides or ("the first", "the second")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted(one.keys() | other.keys()):
            here = f"{path}.{key}" if path else str(key)
            if key not in one or key not in other:
                return f"{here}: only in {second if key not in one else first}"
            difference = first_difference(one[key], other[key], here, sides)
            if difference is not None:
                return difference
        return None
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            difference = first_difference(mine, theirs, f"{path}[{index}]", sides)
            if difference is not None:
                return difference
        if len(one) == len(other):
            return None
        return f"{path}: {_beside(str(len(one)), f'{len(other)} entries', sides)}"
    if _same(one, other):
        return None
    return f"{path}: {_beside(repr(one), repr(other), sides)}"


def _same(one: Any, other: Any) -> bool:
    numbers = [
        isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)
    ]
    if all(numbers):
        return float(one) == float(other)
    return type(one) is type(other) and bool(one == other)


def _beside(one: str, other: str, sides: tuple[str, str] | None) -> str:
    if sides is None:
        return f"{one} and {other}"
    return f"{one} in {sides[0]}, {other} in {sides[1]}"
