"""Identity of a worker process and its machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pricetag.metering.machine import UNKNOWN, boot_id, machine_id, process_start_ticks


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Settings of one worker process, fixed for its life."""

    name: str
    worker: str
    pool: str
    data_dir: Path
    artifacts_dir: Path
    data_roots: tuple[Path, ...]
    allow_commands: bool
    allow_hub: bool
    lease_s: float
    heartbeat_timeout_s: float
    stop_grace_s: float
    git_commit: str | None
    site: str = "default"
    gpu_share: int = 1
    host_cores_per_job: float | None = None
    job_user: str | None = None  # user of the programs of commands; None: the worker's user
    job_env: tuple[str, ...] = ()  # additional variables of the worker that its jobs see

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"

    @property
    def work_dir(self) -> Path:
        return self.data_dir / "work"


def worker_identity(name: str) -> str:
    """Identity of this process, unique even if several machines have the same name."""
    pid = os.getpid()
    return f"{name}:{machine_id()}:{boot_id()}:{pid}:{process_start_ticks(pid)}"


def node_place(data_dir: Path) -> str:
    """Identifies the machine and data folder, which the workers of one node share."""
    folder = data_dir.stat()
    return f"{machine_id()}:{boot_id()}:{folder.st_dev:x}:{folder.st_ino:x}"


def worker_is_gone(identity: str) -> bool:
    """Whether the process with that identity is known to be dead.

    A worker on another machine with the same name is unknown here: its lease decides.
    """
    _name, machine, boot, pid, ticks = identity.rsplit(":", 4)
    if boot == boot_id():
        return str(process_start_ticks(int(pid))) != ticks
    return machine == machine_id() != UNKNOWN
