"""SIGTERM and SIGINT: the first begins an orderly stop of limited duration."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

logger = logging.getLogger("pricetag.worker")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAME_REQUEST_S = 0.5
"""Interval in s within which signals count as one: a terminal and a process manager may both
send one for a Ctrl-C."""
CLOSING_S = 30.0
EXIT_STUCK = 1


def deadline_s(stop_grace_s: float) -> float:
    """Seconds after the first signal within which a worker must have ended.

    Jobs take up to the grace time to end and a few seconds to be closed; their records then
    have the same time to reach the database.
    """
    return 2 * stop_grace_s + CLOSING_S


class StopSignals:
    """Handles the signals of one worker process.

    The handlers run even if the event loop is stuck. Ending by force is safe: jobs end with
    the process, and the next worker of this node books their energy.

    Args:
        stop: Begins an orderly stop; called in the event loop.
        limit_s: Seconds that an orderly stop may take.
        leave: Ends the process at once with an exit code.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        limit_s: float,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._stop = stop
        self._limit_s = limit_s
        self._leave = leave
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_s: float | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, handle the signals of this process."""
        self._loop = loop
        for signum in SIGNALS:
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._asked_s is None:
            self._asked_s = now_s
            self._begin()
        elif now_s - self._asked_s >= SAME_REQUEST_S:
            name = signal.Signals(signum).name
            _say(f"{name} again: the worker ends at once, with its jobs")
            self._leave(128 + signum)

    def _begin(self) -> None:
        watch = threading.Timer(self._limit_s, self._on_deadline)
        watch.daemon = True
        watch.start()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop)

    def _on_deadline(self) -> None:
        _say(f"the worker did not stop within {self._limit_s:g} s: it ends by force")
        faulthandler.dump_traceback(all_threads=True)
        self._leave(EXIT_STUCK)


def _say(text: str) -> None:
    """Writes without the log, whose lock the interrupted code may hold."""
    os.write(2, f"CRITICAL pricetag.worker: {text}\n".encode())
