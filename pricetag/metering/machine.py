"""Identity of this machine and of its processes."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from pathlib import Path

UNKNOWN = "unknown"

GIT_COMMIT = "PRICETAG_GIT_COMMIT"
"""Environment variable with the commit when there is no checkout, for example in an image."""


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


def git_commit(folder: Path) -> str | None:
    """Commit of the running code, with ``-dirty`` if the checkout was changed."""
    if baked := os.environ.get(GIT_COMMIT):
        return baked
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
