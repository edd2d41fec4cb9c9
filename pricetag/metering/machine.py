"""Identity of this machine and of its processes."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

UNKNOWN = "unknown"


def node_name() -> str:
    """``PRICETAG_NODE_NAME``, or the host's name."""
    return os.environ.get("PRICETAG_NODE_NAME") or socket.gethostname()


def process_start_ticks(pid: int) -> int | None:
    """Start time of a process, in clock ticks since boot; None if it has ended.

    Together with the pid it identifies a process uniquely, since pids are reused.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[0] == "Z":
        return None
    return int(fields[19])


def machine_id() -> str:
    """Identifier of this machine, or ``unknown``."""
    return _short(Path("/etc/machine-id"))


def boot_id() -> str:
    """Identifier of this boot of the kernel."""
    return _short(Path("/proc/sys/kernel/random/boot_id"))


def _short(file: Path) -> str:
    try:
        text = file.read_text().strip()
    except OSError:
        return UNKNOWN
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else UNKNOWN
