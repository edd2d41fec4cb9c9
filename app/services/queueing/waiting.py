"""Why a queued run waits: whether any live worker could take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.db import Session
from app.repositories.nodes import worker_processes
from app.schemas.runs import WaitingRead
from models import Run, WorkerProcess
from pricetag.recipes import runs_program

SILENT_S = 35.0
"""A worker without a report for longer is not live; workers report every 10 s."""

LATE_S = 22.0
"""A worker without a report for longer has missed two reports: it may have died."""

DEFAULT_POOL = "default"
FORGOTTEN_S = 24 * 3600.0


class Serving(Protocol):
    """A live worker."""

    @property
    def pool(self) -> str: ...
    @property
    def gpus(self) -> int: ...
    @property
    def cpu_slots(self) -> int: ...
    @property
    def allows_commands(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """The runs that a worker can take.

    Attributes:
        pool: Whose runs it takes.
        gpus: The most accelerators that one run can get.
        cpu_slots: How many CPU-only runs it takes at a time.
        allows_commands: Whether it runs programs.
    """

    pool: str
    gpus: int
    cpu_slots: int
    allows_commands: bool


async def announce(session: Session, identity: str, node_name: str, offer: Offer | None) -> None:
    """Records the runs that a worker can take from now on; None: it stops."""
    if offer is None:
        await worker_processes.remove(session, identity)
        return
    await worker_processes.put(
        session,
        identity=identity,
        node_name=node_name,
        pool=offer.pool,
        gpus=offer.gpus,
        cpu_slots=offer.cpu_slots,
        allows_commands=offer.allows_commands,
    )


async def forget_the_dead(session: Session) -> None:
    """Deletes workers that have not reported for a day."""
    await worker_processes.forget(session, FORGOTTEN_S)


async def of_run(session: Session, run: Run) -> WaitingRead | None:
    """Why a run has to wait for a worker yet to come; None if a live one can take it.

    None as well for a run that is not queued.
    """
    if run.status != "queued":
        return None
    program = runs_program(run.kind)
    return why(run.pool, run.gpus, is_program=program, live=await live(session))


async def live(session: Session) -> Sequence[WorkerProcess]:
    """The workers that are live, by pool."""
    return await worker_processes.live(session, SILENT_S)


def is_late(worker: WorkerProcess, now: datetime) -> bool:
    """Whether a live worker has missed reports.

    Args:
        worker: The worker.
        now: Present time.
    """
    return (now - worker.last_seen_at).total_seconds() > LATE_S


def why(pool: str, gpus: int, *, is_program: bool, live: Sequence[Serving]) -> WaitingRead | None:
    """Why no live worker can take a run; None if one can.

    Args:
        pool: The run's pool.
        gpus: The accelerators that it needs.
        is_program: Whether it runs programs.
        live: The workers that are live.
    """
    pools = sorted({worker.pool for worker in live})
    in_pool = [worker for worker in live if worker.pool == pool]
    if not in_pool:
        return _because(
            "no-worker-in-pool",
            f"no worker serves pool {pool}",
            _served(pools, pool, is_program),
            pools,
        )
    large = [worker for worker in in_pool if _is_large_enough(worker, gpus)]
    if not large:
        message, hint = _too_small(pool, gpus, in_pool)
        return _because("no-worker-large-enough", message, hint, pools)
    if is_program and not any(worker.allows_commands for worker in large):
        size = f" with {_accelerators(gpus)}" if gpus else ""
        message = f"no worker of pool {pool}{size} allows commands"
        elsewhere = sorted(
            {w.pool for w in live if w.allows_commands and _is_large_enough(w, gpus)}
        )
        hint = "start one with --allow-commands"
        if elsewhere:
            hint += f", or use a pool where commands are allowed: {', '.join(elsewhere)}"
        return _because("no-worker-allows-commands", message, hint, pools)
    return None


def _because(code: str, message: str, hint: str, pools: list[str]) -> WaitingRead:
    return WaitingRead(code=code, message=message, hint=hint, pools_served=pools)


def _is_large_enough(worker: Serving, gpus: int) -> bool:
    return worker.gpus >= gpus if gpus else worker.cpu_slots > 0


def _served(pools: Sequence[str], pool: str, is_program: bool) -> str:
    if not pools:
        options = f" --pool {pool}" * (pool != DEFAULT_POOL) + " --allow-commands" * is_program
        return f"no worker is live; start one with: pricetag worker{options}"
    return f"pools with a live worker: {', '.join(pools)}"


def _too_small(pool: str, gpus: int, in_pool: Sequence[Serving]) -> tuple[str, str]:
    if not gpus:
        message = f"no worker of pool {pool} takes CPU-only runs"
        return message, "start one with --cpu-slots 1, or ask for an accelerator"
    most = max(worker.gpus for worker in in_pool)
    message = f"no worker of pool {pool} has {_accelerators(gpus)}"
    return message, f"the largest has {most}" if most else "its workers have none"


def _accelerators(count: int) -> str:
    return f"{count} accelerator{'' if count == 1 else 's'}"
