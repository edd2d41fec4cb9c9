"""Prepares the start of a job's process: its command, job file and environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from pricetag.attempt.socket_folder import socket_path
from pricetag.events import ENV_VAR
from pricetag.metering.devices import device_environment
from pricetag.metering.machine import GIT_COMMIT, process_start_ticks
from pricetag.recipes.registry import runs_program
from workers.attempt import job_variables
from workers.node.identity import NodeConfig

ROOT = Path(__file__).resolve().parents[2]


class ClaimedRun(Protocol):
    """The part of ``app.services.attempts.execution.Claim`` that a launch needs."""

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
    @property
    def power_limit_w(self) -> float | None: ...
    @property
    def upstream(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything needed to start a job.

    Attributes:
        argv: Program and arguments; the last one is the job file.
        environment: The whole environment of the child.
        recorded: The variables that the job's own code sees, for the attempt's record.
        trains: Whether the job needs the training libraries, which take seconds to import.
        forkable: Whether it may be forked from a process that has imported them.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    trains: bool
    forkable: bool
    recorded: dict[str, str] = field(default_factory=dict)


def prepare(
    claim: ClaimedRun,
    config: NodeConfig,
    uuids: Sequence[str],
    folder: Path,
    upstream_folder: Path | None = None,
) -> Launch:
    """Writes the job file into ``folder``; returns how to start the child with it.

    Args:
        claim: The claimed run.
        config: Settings of this worker.
        uuids: Devices of the job.
        folder: Folder of the attempt's socket and job file.
        upstream_folder: Where the model of an earlier run was put; None if it is in the artifact
            folder.
    """
    trains = not is_command(claim)
    environment = child_environment(os.environ, config, uuids, socket_path(folder), trains=trains)
    own_python = {} if trains else programs_python(os.environ, config)
    job_file = folder / "job.json"
    described = describe_job(claim, config) | {"program_variables": own_python}
    if upstream_folder is not None:
        described["upstream"] |= {"fetched": str(upstream_folder)}
    job_file.write_text(json.dumps(described))
    internal = {ENV_VAR} | (set() if trains else set(CHILDS_PYTHON))
    visible = {name: value for name, value in environment.items() if name not in internal}
    return Launch(
        (*argv(claim), str(job_file)),
        environment,
        trains=trains,
        forkable=claim.gpus == 0,
        recorded=job_variables.recorded(visible | own_python),
    )


def is_command(claim: ClaimedRun) -> bool:
    """Whether the run consists of the author's own program."""
    return runs_program(claim.recipe)


def argv(claim: ClaimedRun) -> list[str]:
    """Command line of the child: with several devices, torchrun with one process per device."""
    torchrun: list[str] = []
    if claim.gpus > 1 and not is_command(claim):
        torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={claim.gpus}", "-m"]
    return [sys.executable, "-m", *torchrun, "workers.job.child"]


def describe_job(claim: ClaimedRun, config: NodeConfig) -> dict[str, Any]:
    """The fields of ``workers.job.request.Job``."""
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
        "program_user": config.job_user,
        "upstream": None if claim.upstream is None else dict(claim.upstream),
        "hashes": str(config.data_dir / "workers" / "hashes.json"),
    }


CHILDS_PYTHON = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
"""Makes the child import from the service's own checkout and installation only."""


def child_environment(
    environ: Mapping[str, str],
    config: NodeConfig,
    uuids: Sequence[str],
    socket: Path,
    *,
    trains: bool = True,
) -> dict[str, str]:
    """Complete environment of a job's process: allowed variables, devices, our settings."""
    return {
        **base_environment(environ, config.job_env, trains=trains),
        ENV_VAR: str(socket),
        **device_environment(uuids),
        **({GIT_COMMIT: config.git_commit} if config.git_commit else {}),
    }


def base_environment(
    environ: Mapping[str, str], added: Sequence[str], *, trains: bool
) -> dict[str, str]:
    """Environment that jobs of a kind share with the nursery, which imports for them."""
    return {
        **job_variables.passed_on(environ, added, trains=trains),
        **CHILDS_PYTHON,
        "PYTHONUNBUFFERED": "1",
        # Threads that spin while they wait use energy, and CPU time of other jobs.
        "OMP_WAIT_POLICY": environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        "TOKENIZERS_PARALLELISM": "false",
    }


def programs_python(environ: Mapping[str, str], config: NodeConfig) -> dict[str, str]:
    """Python's variables that an administrator passes to the programs of commands."""
    names = [name for name in config.job_env if name in CHILDS_PYTHON and name in environ]
    return {name: environ[name] for name in names}


def child_note(config: NodeConfig, attempt_id: UUID) -> Path:
    """File that identifies an attempt's running child, for recovery after a crash."""
    return config.journal_dir / f"{attempt_id}.child.json"


def note_child(path: Path, pid: int, events: Path) -> None:
    """Writes the child's identity; its pid alone may be reused by another process."""
    identity = {"pid": pid, "start_ticks": process_start_ticks(pid), "events": str(events)}
    path.write_text(json.dumps(identity))
