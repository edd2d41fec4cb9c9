"""Reads lines from a job's output, whatever its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from workers.job.lines import LineCutter

CHUNK_BYTES = 65536
LONGEST_LINE = 65536


async def copy_lines(reader: asyncio.StreamReader | None, take: Callable[[str], None]) -> None:
    """Calls ``take`` with every non-empty line, and with the last state of a progress bar."""
    if reader is None:
        return
    cutter = LineCutter(LONGEST_LINE)
    chunk = b"-"
    while chunk:
        chunk = await reader.read(CHUNK_BYTES)
        for line in cutter.take(chunk):
            if line:
                take(line)
