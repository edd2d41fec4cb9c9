"""Workers that `pricetag serve` runs beside the server, and restarts if they exit."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("pricetag.server")

ROOT = Path(__file__).resolve().parents[1]
LOOK_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
SETTLED_S = 60.0
"""Lifetime in s after which a worker is restarted with the shortest delay again."""


class _Worker:
    """The current process of one worker."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._pause_s = FIRST_PAUSE_S
        self._restart_at_s: float | None = None
        self.start()

    def start(self) -> None:
        # A separate process group: only the server gets Ctrl-C, and stops the worker in order.
        self.process = subprocess.Popen(self._command, cwd=ROOT, start_new_session=True)
        self._started_s = time.monotonic()
        self._restart_at_s = None

    def look(self) -> None:
        """Restarts the process if it has died, with increasing delays."""
        if self.process.poll() is None:
            return
        now_s = time.monotonic()
        if self._restart_at_s is None:
            lived_s = now_s - self._started_s
            settled = lived_s >= SETTLED_S
            self._pause_s = FIRST_PAUSE_S if settled else min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._restart_at_s = now_s + self._pause_s
            log.warning(
                "worker %d exited with code %d after %.0f s; restarting it in %g s",
                self.process.pid,
                self.process.returncode,
                lived_s,
                self._pause_s,
            )
        elif now_s >= self._restart_at_s:
            self.start()

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def await_stop(self, patience_s: float) -> None:
        try:
            self.process.wait(timeout=max(0.0, patience_s))
        except subprocess.TimeoutExpired:
            log.warning("worker %d did not stop; killed", self.process.pid)
            self.process.kill()
            self.process.wait()


@contextmanager
def workers(command: Sequence[str], count: int, *, patience_s: float) -> Iterator[None]:
    """Runs `count` processes of a command, which end with the block.

    Args:
        command: Program and arguments.
        count: Number of processes.
        patience_s: Time for all of them to stop, in s, before they are killed.
    """
    if count == 0:
        yield
        return
    running = [_Worker(command) for _ in range(count)]
    stop = threading.Event()

    def keep() -> None:
        while not stop.wait(LOOK_S):
            for worker in running:
                worker.look()

    keeper = threading.Thread(target=keep, name="workers", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        deadline_s = time.monotonic() + patience_s
        for worker in running:
            worker.ask_to_stop()
        for worker in running:
            worker.await_stop(deadline_s - time.monotonic())
