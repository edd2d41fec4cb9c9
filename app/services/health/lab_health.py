"""The state of the service for its administrators: what the health checks know, in one place."""

from __future__ import annotations

import asyncio
import platform
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pricetag
from app.db import Session
from app.repositories import database_facts
from app.repositories.attempts import codecarbon, stored
from app.repositories.runs import runs, waiting
from app.schemas.lab_health import (
    DatabaseFacts,
    Disk,
    HealthCheck,
    HealthState,
    LabHealth,
    MeterHealth,
    OpenRuns,
    Versions,
)
from app.services.health.readiness import head_revision
from app.services.principals import Principal
from app.services.queueing import waiting as live_workers
from app.settings import Settings
from models import WorkerProcess
from pricetag.accounting.document.versions import ACCOUNTING_VERSION

TO = "see the state of the service"
STATES: tuple[HealthState, ...] = ("ok", "warning", "failed")
"""From the best to the worst."""

LEAST_FREE_RATIO = 0.1
LEAST_FREE_BYTES = 5_000_000_000
FEW_CONNECTIONS_RATIO = 0.8
MOST_COUNTED = 1000
"""Artifacts that are counted; there may be millions."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """Facts that a server process has without its database.

    Attributes:
        settings: Its settings.
        alarms: Its alarms.
        notices: Its notices.
        meters: Devices that have reported their power.
    """

    settings: Settings
    alarms: Sequence[str]
    notices: Sequence[str]
    meters: Sequence[MeterHealth]


async def examine(session: Session, by: Principal, server: ServerState) -> LabHealth:
    """All checks, made now.

    Raises:
        RoleRequiredError: If the caller is not an administrator.
    """
    by.require("admin", TO)
    database = await _database(session)
    queue = await open_runs(session)
    workers = await live_workers.live(session)
    folders = [server.settings.data_dir, server.settings.artifacts_root]
    disks = await asyncio.to_thread(_disks, folders)
    nodes = {worker.node_name for worker in workers}
    checks = [
        *_of_database(database),
        _of_workers(workers, queue),
        _of_queue(queue),
        _of_meters(server.meters, nodes),
        *(_of_disk(disk) for disk in disks),
        *(await _of_codecarbon(session)),
        *(await _of_store(session, server.settings)),
        *_of_figures(server),
    ]
    return LabHealth(
        at=datetime.now(UTC),
        state=max((check.state for check in checks), key=STATES.index),
        checks=checks,
        database=database,
        disks=disks,
        workers=len(workers),
        worker_nodes=len(nodes),
        queue=list(queue),
        meters=list(server.meters),
        versions=Versions(
            pricetag=pricetag.__version__,
            accounting=ACCOUNTING_VERSION,
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.release()}, {platform.machine()}",
        ),
        alarms=list(server.alarms),
        notices=list(server.notices),
    )


async def open_runs(session: Session) -> Sequence[OpenRuns]:
    """The number of runs of each pool that have not ended."""
    counts: dict[str, dict[str, int]] = {}
    for pool, status, count in await waiting.open_counts(session):
        counts.setdefault(pool, {"queued": 0, "running": 0})[status] = count
    return [OpenRuns(pool=pool, **by_status) for pool, by_status in counts.items()]


async def _database(session: Session) -> DatabaseFacts:
    row = await database_facts.facts(session)
    revision = await runs.migration_revision(session)
    return DatabaseFacts(
        version=row.version,
        revision=revision,
        head=head_revision(),
        size_bytes=row.size_bytes,
        connections=row.connections,
        max_connections=row.max_connections,
    )


def _disks(folders: Iterable[Path]) -> list[Disk]:
    """The disks of some folders, each once: of the nearest folder that exists."""
    seen: dict[int, Disk] = {}
    for folder in folders:
        place = next(path for path in (folder, *folder.parents) if path.exists())
        usage = shutil.disk_usage(place)
        disk = Disk(folder=str(folder), free_bytes=usage.free, total_bytes=usage.total)
        seen.setdefault(place.stat().st_dev, disk)
    return list(seen.values())


def _of_database(database: DatabaseFacts) -> Iterator[HealthCheck]:
    share = database.connections / database.max_connections
    is_full = share > FEW_CONNECTIONS_RATIO
    connections = f"{database.connections} of {database.max_connections} connections are open"
    yield HealthCheck(
        name="database",
        state="warning" if is_full else "ok",
        message=f"PostgreSQL {database.version}; {connections}"
        + ("; raise max_connections, or stop the clients that hold them" if is_full else ""),
    )
    is_current = database.revision == database.head
    yield HealthCheck(
        name="migration",
        state="ok" if is_current else "failed",
        message=f"{database.head} is the newest, and applied"
        if is_current
        else f"the database is at {database.revision or 'none'}, this version needs"
        f" {database.head}: run 'pricetag migrate'",
    )


def _of_workers(workers: Sequence[WorkerProcess], queue: Sequence[OpenRuns]) -> HealthCheck:
    pools = {worker.pool for worker in workers}
    stranded = sorted(each.pool for each in queue if each.queued and each.pool not in pools)
    nodes = {worker.node_name for worker in workers}
    message = f"{_counted(len(workers), 'live worker')} on {_counted(len(nodes), 'node')}"
    if stranded:
        message += f"; runs wait in {', '.join(stranded)} without a live worker: start one there"
    elif not workers:
        message = "no live worker; start one with 'pricetag worker'"
    state: HealthState = "ok" if workers and not stranded else "warning"
    return HealthCheck(name="workers", state=state, message=message)


def _of_queue(queue: Sequence[OpenRuns]) -> HealthCheck:
    queued, running = sum(each.queued for each in queue), sum(each.running for each in queue)
    message = f"{_counted(running, 'run')} running, {queued:,} queued"
    return HealthCheck(name="queue", state="ok", message=message)


def _of_meters(meters: Sequence[MeterHealth], nodes: set[str]) -> HealthCheck:
    silent = sorted(f"{meter.name} of {meter.node}" for meter in meters if not meter.reporting)
    unheard = sorted(nodes - {meter.node for meter in meters})
    message = f"{_counted(len(meters) - len(silent), 'device')} reporting"
    if silent:
        message += f"; stopped within the last hour: {', '.join(silent)}"
    if unheard:
        message += f"; no report from {', '.join(unheard)}: run 'pricetag doctor' there"
    return HealthCheck(
        name="meters", state="warning" if silent or unheard else "ok", message=message
    )


def _of_disk(disk: Disk) -> HealthCheck:
    is_low = disk.free_bytes < max(LEAST_FREE_BYTES, disk.total_bytes * LEAST_FREE_RATIO)
    share = disk.free_bytes / disk.total_bytes if disk.total_bytes else 0.0
    message = f"{share:.0%} of the disk of {disk.folder} is free"
    if is_low:
        message += "; free space, or move the folder (PRICETAG_DATA_DIR, PRICETAG_ARTIFACTS_DIR)"
    return HealthCheck(name="disk", state="warning" if is_low else "ok", message=message)


async def _of_codecarbon(session: Session) -> Sequence[HealthCheck]:
    """The clients whose records make no run; no check without any."""
    count, problem = await codecarbon.fruitless(session)
    if not count:
        return ()
    message = (
        f"the records of {_counted(count, 'client')} cannot be applied (the newest: {problem}); "
        "without a run they are deleted 30 days after the last one"
    )
    return (HealthCheck(name="codecarbon", state="warning", message=message),)


async def _of_store(session: Session, settings: Settings) -> Sequence[HealthCheck]:
    """Whether artifacts move to the store; no check without a store."""
    if settings.artifacts_url is None:
        return ()
    waiting_count, unfit_count, reason = await stored.left_behind(session, MOST_COUNTED)
    message = f"{_at_most(waiting_count)} of ended attempts wait to be moved there"
    if unfit_count:
        message += f"; {_at_most(unfit_count)} cannot be moved (one of them: {reason})"
    is_late = waiting_count > MOST_COUNTED
    if is_late:
        message += "; workers move those of their node: is one running there?"
    state: HealthState = "warning" if unfit_count or is_late else "ok"
    return (HealthCheck(name="artifact-store", state=state, message=message),)


def _at_most(count: int) -> str:
    """A number of artifacts that was counted up to a limit."""
    return (
        f"more than {MOST_COUNTED:,} artifacts"
        if count > MOST_COUNTED
        else _counted(count, "artifact")
    )


def _of_figures(server: ServerState) -> Iterator[HealthCheck]:
    for message in server.alarms:
        yield HealthCheck(name="figures", state="failed", message=message)
    for message in server.notices:
        yield HealthCheck(name="background", state="warning", message=message)
    if not server.alarms:
        message = "the stored sums equal those of their rows, as far as they were checked"
        yield HealthCheck(name="figures", state="ok", message=message)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
