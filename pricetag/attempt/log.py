"""One attempt's log: every record goes to the journal first, with the meter's time.

While the disk is full, everything except output and progress waits in memory, and is shipped from
there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pricetag.metering import Reading
from pricetag.metering.journal import Journal, JournalError

logger = logging.getLogger(__name__)

MAX_TEXT = 8192
MAX_LOG_BYTES = 64 * 1024 * 1024
LINE_BYTES = 160
"""Overhead counted per line, in bytes, so that empty lines cannot fill the disk."""


class AttemptLog:
    """Adds the time to records and appends them.

    Args:
        journal: The attempt's journal, locked by this process.
        now_s: Seconds since the meter opened.
    """

    def __init__(self, journal: Journal, now_s: Callable[[], float]) -> None:
        self._journal = journal
        self._now_s = now_s
        self._log_bytes = 0
        self._skipped = 0

    def append(self, type_: str, *, t_s: float | None = None, **fields: Any) -> None:
        """Appends a record that must not be lost."""
        self._journal.append(self._stamped(type_, t_s, fields), keep=True)

    @property
    def waiting_bytes(self) -> int:
        """Size of the records that wait in memory for the disk."""
        return self._journal.waiting_bytes

    @property
    def unsafe_s(self) -> float:
        """Time in s for which records have been only in memory, and none could be saved."""
        return self._journal.unsafe_s

    def offer(self, type_: str, **fields: Any) -> None:
        """Append an optional record; skipped on a full disk, and the gap reported later."""
        try:
            if self._skipped:
                text = f"{self._skipped} lines and progress records are missing: the disk was full"
                self._journal.append(
                    self._stamped("log", None, {"stream": "pricetag", "text": text})
                )
                self._skipped = 0
            self._journal.append(self._stamped(type_, None, fields))
        except JournalError as error:
            if not self._skipped:
                logger.error("this record and those that follow are skipped: %s", error)
            self._skipped += 1

    def readings(self, readings: Sequence[Reading]) -> None:
        """Appends the meter's readings, which have their own ``t_s``: all of them, or none."""
        self._journal.append_all(
            [self._stamped("reading", reading.t_s, reading.as_record()) for reading in readings],
            keep=True,
        )

    def _stamped(self, type_: str, t_s: float | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        stamped_s = self._now_s() if t_s is None else t_s
        return {"type": type_, "t_s": stamped_s, "at": datetime.now(UTC).isoformat(), **fields}

    def text(self, text: str, stream: str) -> None:
        """Appends one line of output; a log that is too long is cut, with a notice."""
        if self._log_bytes > MAX_LOG_BYTES:
            return
        self._log_bytes += len(text) + LINE_BYTES
        if self._log_bytes > MAX_LOG_BYTES:
            self.offer(
                "log",
                stream="pricetag",
                text=f"the log exceeds {MAX_LOG_BYTES} bytes: the rest is omitted",
            )
            return
        cut = len(text) - MAX_TEXT
        shown = f"{text[:MAX_TEXT]} [{cut} characters omitted]" if cut > 0 else text
        self.offer("log", stream=stream, text=shown)
