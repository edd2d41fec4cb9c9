"""Processes for long work, so that the server's own continues answering, and keeps its memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

PROCESSES = 2
"""However many requests need some at once."""


class SharedProcesses:
    """A few processes that are there while somebody uses them.

    Args:
        count: Number of processes; further work waits for one.
    """

    def __init__(self, count: int = PROCESSES) -> None:
        self._count = count
        self._users = 0
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    @contextmanager
    def lent(self) -> Iterator[Executor]:
        """The processes, which end with the last user, or with this process."""
        with self._lock:
            self._users += 1
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self._count, context, initializer=_end_with_parent)
            pool = self._pool
        try:
            yield pool
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._pool = None
                    pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
