"""A file that is imported: read as often as needed, never as a whole."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from pricetag.imports.tables import ImportFileError

MAX_LINE = 1_000_000
"""Maximum length of a line, in characters."""


BEGINNING = 1_000
"""Number of bytes by which a binary file is recognized."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and how to read times that state no zone.

    Attributes:
        path: The file.
        zone: Time zone of the machine that wrote it; None for that of this one.
    """

    path: Path
    zone: tzinfo | None = None

    def lines(self) -> Iterator[str]:
        """The lines of the file, with their ends.

        Raises:
            ImportFileError: If it is not text in UTF-8, or a line is too long.
            OSError: If it cannot be read.
        """
        with self.path.open("rb") as binary:
            beginning = binary.read(BEGINNING)
        if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ImportFileError("its text is UTF-16: save it as UTF-8")
        if b"\0" in beginning:
            raise ImportFileError("it is not a text file")
        # Bytes that are not UTF-8 stay visible, and are rejected where a number is expected.
        with self.path.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                if len(line) == MAX_LINE:
                    raise ImportFileError(f"it has more than {MAX_LINE:,} characters", number)
                yield line


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that is not imported, although nothing is wrong with it.

    Attributes:
        line: The line, from 1.
        why: The reason, the same text for all lines with the same reason.
    """

    line: int
    why: str
