"""Several states of one measurement in a file: the last one counts."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise


class Newest:
    """The last line of each key that a file has more than once; 16 bytes a line until then.

    Args:
        keyed: Key and line of each row, in order.
    """

    def __init__(self, keyed: Iterable[tuple[str, int]]) -> None:
        hashes, lines = array("q"), array("q")
        for key, line in keyed:
            hashes.append(hash(key))
            lines.append(line)
        repeated = {here for here, after in pairwise(sorted(hashes)) if here == after}
        self._lines = {
            each: line for each, line in zip(hashes, lines, strict=True) if each in repeated
        }

    def has(self, key: str, line: int) -> bool:
        """Whether this is the last line of the key."""
        return self._lines.get(hash(key), line) == line
