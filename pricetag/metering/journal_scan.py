"""Index of a journal's records, and the end of its last complete line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

INDEX_STEP = 256
"""Number of records between two stored offsets."""

_CHUNK_BYTES = 1 << 20


@dataclass(slots=True)
class Index:
    """Offsets of a journal's records, one in :data:`INDEX_STEP`.

    Attributes:
        count: Number of records.
        end: End of the last record, in bytes.
    """

    count: int = 0
    end: int = 0
    _offsets: list[int] = field(default_factory=list)

    def add(self, length: int) -> None:
        """Note a record of ``length`` bytes at the end."""
        if self.count % INDEX_STEP == 0:
            self._offsets.append(self.end)
        self.count += 1
        self.end += length

    def span(self, seq: int, limit: int) -> tuple[int, int]:
        """First and last byte of the index steps that contain ``limit`` records from ``seq`` on."""
        first = seq // INDEX_STEP
        after = (seq + limit - 1) // INDEX_STEP + 1
        stop = self._offsets[after] if after < len(self._offsets) else self.end
        return self._offsets[first], stop


def scan_lines(descriptor: int) -> Index:
    """Index a journal up to its first incomplete line."""
    index = Index()
    for line in _lines(descriptor):
        if not _is_whole(line, index.count):
            break
        index.add(len(line))
    return index


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines with their newline; the last may have none."""
    incomplete, position = b"", 0
    while chunk := os.pread(descriptor, _CHUNK_BYTES, position):
        position += len(chunk)
        *complete, incomplete = (incomplete + chunk).split(b"\n")
        for line in complete:
            yield line + b"\n"
    if incomplete:
        yield incomplete


def _is_whole(line: bytes, seq: int) -> bool:
    """Whether a line is a complete record with this ``seq``."""
    if not line.endswith(b"\n"):
        return False
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and record.get("seq") == seq
