"""Lines that show how far a backup is, at most one every two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from pricetag.tag.figures import with_unit

SHOWN_EVERY_S = 2.0

Report = Callable[[str], None]
"""Receives a line of progress."""


class Progress:
    """The progress of one part of the work.

    Args:
        name: Name of the part.
        report: Receives the lines.
        total: Number of files or other units, if the part has them.
        unit: What is counted.
    """

    def __init__(
        self, name: str, report: Report, total: int | None = None, unit: str = "files"
    ) -> None:
        self._name = name
        self._report = report
        self._total = total
        self._unit = unit
        self._files = 0
        self._size_bytes = 0
        self._shown_s = time.monotonic()

    def sized(self, size_bytes: int) -> None:
        """The part has this number of bytes now."""
        self._size_bytes = size_bytes
        self._now_and_then()

    def file(self, size_bytes: int) -> None:
        """A file, or another unit, of this size is done."""
        self._files += 1
        self._size_bytes += size_bytes
        self._now_and_then()

    def end(self) -> None:
        """The part is done."""
        self._report(self._line())

    def _now_and_then(self) -> None:
        if time.monotonic() - self._shown_s > SHOWN_EVERY_S:
            self._shown_s = time.monotonic()
            self._report(self._line())

    def _line(self) -> str:
        size = with_unit(float(self._size_bytes), "bytes")
        if self._total is None:
            return f"{self._name}: {size}"
        return f"{self._name}: {self._files:,} of {self._total:,} {self._unit}, {size}"
