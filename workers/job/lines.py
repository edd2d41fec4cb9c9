"""Cuts a program's output into lines, whatever its bytes; a progress bar yields its last state."""

from __future__ import annotations

import time
from collections.abc import Callable

LIVE_S = 10.0
"""Interval at which the state of a running progress bar is output as a line."""


class LineCutter:
    """Cuts a stream of bytes into lines of text.

    A carriage return restarts the line, as on a terminal: overwritten text is dropped, so that
    a bar with 20,000 updates is one line (and one more every 10 s, to show that it moves).

    Args:
        longest_bytes: Length above which a line is cut into pieces.
        clock: Monotonic seconds.
    """

    def __init__(self, longest_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest_bytes
        self._clock = clock
        self._rest = b""
        self._shown = b""
        self._shown_s = clock()

    def take(self, piece: bytes) -> list[str]:
        """The lines that ``piece`` completes; an empty piece ends the stream."""
        *complete, self._rest = (self._rest + piece).split(b"\n")
        if not piece and self._rest:
            complete, self._rest = [*complete, self._rest], b""
        lines: list[bytes] = []
        for line in complete:
            state = _last_state(line)
            # The last state of a bar may have been output already, while it was running.
            if not (b"\r" in line and state == self._shown):
                lines += self._pieces(state)
            self._shown = b""
        lines += self._running()
        return [line.decode("utf-8", errors="replace") for line in lines]

    def _running(self) -> list[bytes]:
        """Output for an unfinished line: pieces of a long one, the state of a progress bar."""
        before, bar, current = self._rest.rpartition(b"\r")
        lines: list[bytes] = []
        if len(current) > self._longest:
            *lines, current = self._pieces(current)
        if not bar:
            self._rest = current
            return lines
        state = _last_state(before)
        if state and state != self._shown and self._clock() - self._shown_s >= LIVE_S:
            self._shown, self._shown_s = state, self._clock()
            lines = [*self._pieces(state), *lines]
        self._rest = state + b"\r" + current
        return lines

    def _pieces(self, line: bytes) -> list[bytes]:
        pieces = []
        while len(line) > self._longest:
            end = _between_characters(line, self._longest)
            pieces.append(line[:end])
            line = line[end:]
        return [*pieces, line]


def _last_state(line: bytes) -> bytes:
    """The text that a terminal finally shows of a line: its last non-empty part."""
    return next((part for part in reversed(line.split(b"\r")) if part), b"")


def _between_characters(line: bytes, end: int) -> int:
    """The last place at or before ``end`` that does not cut a UTF-8 character."""
    for place in range(end, max(end - 4, 0), -1):
        if line[place] & 0xC0 != 0x80:
            return place
    return end
