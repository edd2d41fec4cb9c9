"""Canonical text of a JSON document: the JSON Canonicalization Scheme.

Source:
    RFC 8785; its numbers are ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

PLAIN_UP_TO = 21
"""Numbers from 1e21 on are written with an exponent."""
PLAIN_DOWN_TO = -6
"""Numbers below 1e-6 are written with an exponent."""


_ENCODER = json.JSONEncoder(ensure_ascii=False)


def canonical_json(value: Any) -> str:
    """The canonical text of a JSON document, to be encoded as UTF-8.

    Keys are ordered by UTF-16 code units; there are no spaces; only characters that JSON must
    escape are escaped; every number is written as the nearest double.

    Raises:
        ValueError: If a number is not finite.
        OverflowError: If a whole number exceeds all doubles.
        TypeError: If a value is not JSON.
    """
    if value is None or isinstance(value, bool | str):
        return _ENCODER.encode(value)
    if isinstance(value, int | float):
        return number_text(float(value))
    if isinstance(value, Mapping):
        members = {str(key): item for key, item in value.items()}
        pairs = (
            f"{_ENCODER.encode(key)}:{canonical_json(members[key])}"
            for key in sorted(members, key=_utf16)
        )
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    raise TypeError(f"{type(value).__name__} is not JSON")


def number_text(number: float) -> str:
    """A double in the notation of ECMAScript.

    Python produces the same shortest digits; only the decimal point and exponent differ.

    Raises:
        ValueError: If it is not finite.
    """
    if not math.isfinite(number):
        raise ValueError(f"{number} is not JSON compliant")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    digits, point = _digits(repr(abs(number)))
    if len(digits) <= point <= PLAIN_UP_TO:
        return sign + digits.ljust(point, "0")
    if 0 < point <= PLAIN_UP_TO:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if PLAIN_DOWN_TO < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _digits(text: str) -> tuple[str, int]:
    """The significant digits, and the number of digits before the decimal point."""
    mantissa, _, exponent = text.partition("e")
    integer, _, fraction = mantissa.partition(".")
    digits = (integer + fraction).lstrip("0")
    leading = len(integer + fraction) - len(digits)
    return digits.rstrip("0"), len(integer) - leading + int(exponent or 0)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")
