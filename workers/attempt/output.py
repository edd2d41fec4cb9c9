"""Lines out of a job's output, whatever bytes it writes."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable

CHUNK_BYTES = 65536
LONGEST_LINE = 65536


async def copy_lines(reader: asyncio.StreamReader | None, take: Callable[[str], None]) -> None:
    """Calls ``take`` for every line; a carriage return ends one too (progress bars)."""
    if reader is None:
        return
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    while chunk := await reader.read(CHUNK_BYTES):
        lines = (rest + decoder.decode(chunk)).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        rest = lines.pop()
        for line in lines:
            if line:
                take(line)
        if len(rest) > LONGEST_LINE:
            take(rest)
            rest = ""
    if rest:
        take(rest)
