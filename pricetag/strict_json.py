"""JSON as it is meant to be read: one value per key, finite numbers, bounded depth and digits.

Python's reader takes the last of two equal keys and the words NaN and Infinity, fails with its
own error on integers of more than 4,300 digits, and runs out of stack on deep nesting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

MAX_DIGITS = 1_000


class StrictJsonError(ValueError):
    """The text is not JSON that everyone would read alike; says what is wrong, and where."""


class TooDeepError(StrictJsonError):
    """The text nests more deeply than can be read."""


def parse_json(text: str) -> object:
    """The value that a JSON text holds.

    Args:
        text: The text; its size is for the caller to bound. Takes time linear in it.

    Returns:
        Plain data: dict, list, str, int, float, bool, None. Surrogate halves are passed on.

    Raises:
        StrictJsonError: If the text is malformed (with line and column), has a key twice in one
            object, a word such as NaN, or a number of too many digits.
        TooDeepError: If it nests too deeply.
    """
    try:
        return json.loads(
            text,
            parse_constant=_no_constant,
            parse_int=_integer,
            object_pairs_hook=_distinct_keys,
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


def _distinct_keys(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise StrictJsonError(f"the key {key[:100]!a} appears twice in one object")
            seen.add(key)
    return result
