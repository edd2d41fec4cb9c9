"""A job carried out as a worker does, without a queue, a database or torch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pricetag.attempt.ending import every_record
from pricetag.attempt.meters import Devices
from pricetag.metering.journal import Journal
from workers.attempt.fetching import Fetcher
from workers.attempt.processes import Starter
from workers.attempt.supervisor import Supervisor
from workers.node.identity import NodeConfig

Records = list[dict[str, Any]]


@dataclass
class Claimed:
    """A claim of a run."""

    recipe: dict[str, Any]
    gpus: int = 0
    power_limit_w: float | None = None
    upstream: dict[str, Any] | None = None
    number: int = 1
    run_id: UUID = field(default_factory=uuid4)
    attempt_id: UUID = field(default_factory=uuid4)


async def supervise(
    root: Path,
    described: dict[str, Any],
    starter: Starter,
    job_env: tuple[str, ...] = (),
    upstream: dict[str, Any] | None = None,
    fetcher: Fetcher | None = None,
) -> tuple[Records, Path]:
    """Carries out a recipe as a worker does; its records and its work folder."""
    claim = Claimed(described, upstream=upstream)
    journal = Journal.create(root / "journal", claim.attempt_id)
    config = node_config(root, job_env=job_env)
    supervisor = Supervisor(claim, config, Devices(()), journal, starter, fetcher=fetcher)
    async with asyncio.timeout(120):
        await supervisor.run()
    return list(every_record(journal)), config.work_dir / str(claim.run_id)


def node_config(root: Path, *, name: str = "node", job_env: tuple[str, ...] = ()) -> NodeConfig:
    """Settings of a worker whose folders are below one."""
    return NodeConfig(
        name=name,
        worker="node:m:b:1:2",
        pool="default",
        data_dir=root,
        artifacts_dir=root / "artifacts",
        data_roots=(root,),
        allow_commands=True,
        allow_hub=False,
        git_commit=None,
        lease_s=900.0,
        heartbeat_timeout_s=60.0,
        stop_grace_s=1.0,
        job_env=job_env,
    )


def of(records: Records, type_: str) -> Records:
    """The records of one type."""
    return [record for record in records if record["type"] == type_]
