"""Strict JSON parser: unique keys, finite numbers, limited depth and digits.

Python's parser accepts duplicate keys and the words NaN and Infinity, fails with its own error on
integers of more than 4,300 digits, and runs out of stack on deep nesting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

MAX_DIGITS = 1_000


class StrictJsonError(ValueError):
    """The text is invalid or ambiguous JSON; the message states the problem and its place."""


class TooDeepError(StrictJsonError):
    """The text is nested too deeply."""


def parse_json(text: str) -> object:
    """Parses a JSON text.

    Args:
        text: The text. The caller must limit its size; parsing takes linear time.

    Returns:
        Plain data: dict, list, str, int, float, bool, None. Halves of surrogate pairs are kept.

    Raises:
        StrictJsonError: If the text is malformed (with line and column), or contains a duplicate
            key, a word such as NaN, or a number with too many digits.
        TooDeepError: If it is nested too deeply.
    """
    try:
        return json.loads(
            text,
            parse_constant=_no_constant,
            parse_int=_integer,
            object_pairs_hook=distinct_keys,
        )
    except StrictJsonError:
        raise
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise StrictJsonError(f"{error.msg} at {where}") from error
    except RecursionError as error:
        raise TooDeepError("it nests too deeply") from error


def _no_constant(name: str) -> object:
    raise StrictJsonError(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise StrictJsonError(f"the number {digits[:8]}... has {len(digits)} digits")
    return int(digits)


def distinct_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object of a JSON text, for ``object_pairs_hook``.

    Raises:
        StrictJsonError: If a key appears twice.
    """
    result = dict(pairs)
    if len(result) != len(pairs):
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise StrictJsonError(f"the key {key[:100]!a} appears twice in one object")
            keys.add(key)
    return result
