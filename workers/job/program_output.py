"""The output of a program, line by line, while it runs."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator

from workers.job.lines import LineCutter
from workers.job.request import Interrupted

MAX_LINE_BYTES = 8192
POLL_S = 0.1
DRAIN_S = 1.0
READ_BYTES = 65_536

Line = tuple[str, str]  # stream, text


class TimeUpError(Exception):
    """The program took longer than its time limit."""


def follow(
    process: subprocess.Popen[bytes],
    timeout_s: float | None,
    stop_requested: Callable[[], str | None],
    on_line: Callable[[Line], None],
) -> int:
    """Pass on each line of a program's output until the program has ended.

    Args:
        process: The program, its output and errors piped.
        timeout_s: Time limit in seconds; None for none.
        stop_requested: Returns the reason of a requested stop, or None.
        on_line: Called with every line.

    Returns:
        The exit status.

    Raises:
        Interrupted: A stop was requested.
        TimeUpError: The time limit was reached.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    drained_by: float | None = None
    with selectors.DefaultSelector() as selector:
        for stream, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None
            selector.register(pipe, selectors.EVENT_READ, _Lines(stream))
        while selector.get_map():
            for key, _ in selector.select(POLL_S):
                piece = os.read(key.fd, READ_BYTES)
                for line in key.data.take(piece):
                    on_line(line)
                if not piece:
                    selector.unregister(key.fileobj)
            if process.poll() is None:
                _check(stop_requested, deadline)
                continue
            # Processes that it started may hold the pipes open: they are not read forever.
            drained_by = drained_by or time.monotonic() + DRAIN_S
            if time.monotonic() > drained_by:
                break
    while process.poll() is None:  # it closed its output and runs on
        _check(stop_requested, deadline)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)
    return process.returncode


def _check(stop_requested: Callable[[], str | None], deadline: float | None) -> None:
    reason = stop_requested()
    if reason is not None:
        raise Interrupted(reason)
    if deadline is not None and time.monotonic() > deadline:
        raise TimeUpError


class _Lines:
    """The lines of one stream, as the database can store them."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._cutter = LineCutter(MAX_LINE_BYTES)

    def take(self, piece: bytes) -> Iterator[Line]:
        """The lines that ``piece`` completes; an empty one ends the stream."""
        for line in self._cutter.take(piece):
            yield self._stream, line.replace("\x00", "\ufffd")
