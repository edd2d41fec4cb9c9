"""Processes: whether one still exists, and which the server borrowed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from app.services.processes import SharedProcesses


class Noted(SharedProcesses):
    """Notes each pool that was borrowed."""

    def __init__(self) -> None:
        super().__init__()
        self.borrowed: list[Executor] = []

    @contextmanager
    def lent(self) -> Iterator[Executor]:
        with super().lent() as pool:
            self.borrowed.append(pool)
            yield pool


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"
