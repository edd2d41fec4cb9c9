"""Several processes of one job (torchrun): rank 0 reports, and the others wait."""

from __future__ import annotations

import os
import time
from pathlib import Path

POLL_S = 0.05


def rank() -> int:
    """This process's number in the job; 0 is the one that reports and writes."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Number of processes of the job."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for(path: Path) -> None:
    """Block until rank 0 has written ``path``. torchrun ends the wait if rank 0 dies."""
    while not path.exists():
        time.sleep(POLL_S)
