"""How a job's process is started: its command, its description, its environment."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from pricetag.events import ENV_VAR
from pricetag.metering.devices import VARIABLES as DEVICE_VARIABLES
from pricetag.metering.devices import device_environment
from pricetag.track import RANK_VARIABLES
from workers.node.identity import GIT_COMMIT, NodeConfig, process_start_ticks

LAUNCHER_VARIABLES = frozenset(
    {"RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}
    | {"MASTER_ADDR", "MASTER_PORT", "ROLE_RANK", "ROLE_WORLD_SIZE"}
    | set(RANK_VARIABLES)
)
"""A worker may itself have been started by such a launcher; its jobs are in no group of that."""


LONGEST_SOCKET_PATH = 100
"""In bytes; the kernel takes 107."""


class ClaimedRun(Protocol):
    """What a launch needs of ``app.services.execution.Claim``."""

    @property
    def run_id(self) -> UUID: ...
    @property
    def attempt_id(self) -> UUID: ...
    @property
    def number(self) -> int: ...
    @property
    def recipe(self) -> dict[str, Any]: ...
    @property
    def gpus(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything it takes to start a job.

    Attributes:
        argv: Program and arguments; the last one is the job file.
        environment: The whole environment of the child.
        trains: Whether the job needs what trains models, and so takes seconds to import.
        forkable: Whether it may be a fork of a process that has imported that.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    trains: bool
    forkable: bool


def prepare(claim: ClaimedRun, config: NodeConfig, uuids: Sequence[str], folder: Path) -> Launch:
    """Writes the job file into ``folder`` and says how to start the child on it."""
    job_file = folder / "job.json"
    job_file.write_text(json.dumps(describe_job(claim, config)))
    return Launch(
        (*argv(claim), str(job_file)),
        child_environment(os.environ, config, uuids, socket_path(folder)),
        trains=not is_command(claim),
        forkable=claim.gpus == 0,
    )


def own_folder() -> Path:
    """A new folder of an attempt's own, near enough to the root for a socket's path."""
    place = tempfile.gettempdir()
    is_deep = len(os.fsencode(place)) > LONGEST_SOCKET_PATH - len("/pricetag-12345678/events.sock")
    return Path(tempfile.mkdtemp(prefix="pricetag-", dir="/tmp" if is_deep else place))


def socket_path(folder: Path) -> Path:
    """The event socket in an attempt's own folder."""
    return folder / "events.sock"


def is_command(claim: ClaimedRun) -> bool:
    """Whether the run is a program of its author's own."""
    return any(stage.get("kind") == "command" for stage in claim.recipe.get("stages", []))


def argv(claim: ClaimedRun) -> list[str]:
    """The child; by torchrun, one process a device, when there are several."""
    torchrun: list[str] = []
    if claim.gpus > 1 and not is_command(claim):
        torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={claim.gpus}", "-m"]
    return [sys.executable, "-m", *torchrun, "workers.job.child"]


def describe_job(claim: ClaimedRun, config: NodeConfig) -> dict[str, Any]:
    """What ``workers.job.request.Job`` is read from."""
    run_id = str(claim.run_id)
    return {
        "run_id": run_id,
        "attempt_number": claim.number,
        "recipe": claim.recipe,
        "data_roots": [str(root) for root in config.data_roots],
        "work_dir": str(config.work_dir / run_id),
        "artifacts_dir": str(config.artifacts_dir / run_id / str(claim.number)),
        "device": "cuda" if claim.gpus else "cpu",
        "gpus": claim.gpus,
        "allow_commands": config.allow_commands,
        "allow_hub": config.allow_hub,
        "lease_s": config.lease_s,
    }


def child_environment(
    environ: Mapping[str, str], config: NodeConfig, uuids: Sequence[str], socket: Path
) -> dict[str, str]:
    """The worker's environment less the service's settings and secrets, plus the devices."""
    kept = {name: value for name, value in environ.items() if not _is_ours(name)}
    return kept | {
        ENV_VAR: str(socket),
        **device_environment(uuids),
        "PYTHONUNBUFFERED": "1",
        # Threads that spin while they wait burn joules, and the time of the job beside.
        "OMP_WAIT_POLICY": environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        "TOKENIZERS_PARALLELISM": "false",
        **({GIT_COMMIT: config.git_commit} if config.git_commit else {}),
    }


def _is_ours(name: str) -> bool:
    """Settings and secrets of the service, devices, places in a group that a launcher gives."""
    if name in LAUNCHER_VARIABLES or name in DEVICE_VARIABLES:
        return True
    return name.startswith(("PRICETAG_", "TORCHELASTIC_"))


def child_note(config: NodeConfig, attempt_id: UUID) -> Path:
    """Where an attempt's child is named while it runs, for whoever cleans up after a crash."""
    return config.journal_dir / f"{attempt_id}.child.json"


def note_child(path: Path, pid: int, events: Path) -> None:
    """Leaves the child's identity: its pid alone could be another process's by then."""
    identity = {"pid": pid, "start_ticks": process_start_ticks(pid), "events": str(events)}
    path.write_text(json.dumps(identity))
