"""Entries of the queue, one per queued run: added, deleted and repaired.

An entry is a delivery, not the truth: ``services.attempts.execution.claim`` decides whether a run
may start. Therefore a superfluous entry is harmless, :func:`sweep` restores missing entries, and
finished entries are deleted at once.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime
from functools import cache
from uuid import UUID

import procrastinate

from app.db import Session, driver_connection
from models import Run
from pricetag.recipes import runs_program

logger = logging.getLogger(__name__)

TASK = "execute_run"
PROGRAMS = "+commands"
STALLED_S = 30.0
MAX_QUEUE_CHARS = 63 - len("procrastinate_queue_v1#")
SWEEP_LOCK = 0x70726963_73776570  # one sweeper at a time


def queue_name(pool: str, gpus: int, *, programs: bool = False) -> str:
    """The queue of a pool's runs with this number of accelerators.

    Runs that execute programs have their own queue, from which only workers that allow
    commands take. No pool's name has a plus sign.

    PostgreSQL truncates the names of notification channels, which contain the queue's name, at
    63 bytes. For a pool with a long name, the queue's name is therefore the beginning of the
    pool's name and a digest.
    """
    tail = f"{PROGRAMS if programs else ''}/{gpus}gpu"
    if len(pool + tail) <= MAX_QUEUE_CHARS:
        return pool + tail
    digest = hashlib.sha256(pool.encode()).hexdigest()[:16]
    return f"{pool[:6] if programs else pool[:12]}~{digest}{tail}"


@cache
def _deferrer() -> procrastinate.App:
    # Never opened: every deferral uses the session's own connection.
    return procrastinate.App(connector=procrastinate.PsycopgConnector())


async def enqueue(
    session: Session,
    run_id: UUID,
    *,
    pool: str,
    gpus: int,
    kind: str,
    priority: int = 0,
    not_before: datetime | None = None,
) -> int:
    """Adds an entry on the session's own connection, so that it commits together with the run."""
    deferrer = _deferrer().configure_task(
        TASK,
        queue=queue_name(pool, gpus, programs=runs_program(kind)),
        priority=priority,
        schedule_at=not_before,
        connection=await driver_connection(session),
    )
    return await deferrer.defer_async(run_id=str(run_id))


async def enqueue_run(session: Session, run: Run, *, not_before: datetime | None = None) -> int:
    """Adds an entry for a run, in the queue of its pool, devices and kind."""
    return await enqueue(
        session,
        run.id,
        pool=run.pool,
        gpus=run.gpus,
        kind=run.kind,
        priority=run.priority,
        not_before=not_before,
    )


async def prioritize(session: Session, run_id: UUID, priority: int) -> None:
    """Changes the priority of a run's waiting entries."""
    connection = await driver_connection(session)
    await connection.execute(
        "UPDATE procrastinate_jobs SET priority = %s "
        "WHERE status = 'todo' AND args ->> 'run_id' = %s",
        [priority, str(run_id)],
    )


async def cancel(session: Session, run_id: UUID) -> int:
    """Deletes the waiting entries of a run; returns their number."""
    connection = await driver_connection(session)
    deleted = await connection.execute(
        "DELETE FROM procrastinate_jobs WHERE status = 'todo' AND args ->> 'run_id' = %s",
        [str(run_id)],
    )
    return deleted.rowcount


ENTRIES_OF_THE_DEAD = """
WITH dead AS (
    DELETE FROM procrastinate_workers
    WHERE last_heartbeat < now() - make_interval(secs => %(stalled_s)s)
    RETURNING id
)
DELETE FROM procrastinate_jobs AS job
WHERE job.status = 'doing'
  AND (job.worker_id IS NULL OR job.worker_id IN (SELECT id FROM dead))
"""

RUNS_WITHOUT_ENTRY = """
SELECT run.id, run.pool, run.gpus, run.kind, run.priority, run.not_before
FROM runs AS run
WHERE run.status = 'queued'
  AND run.cancel_requested_at IS NULL
  AND NOT EXISTS (
      SELECT 1 FROM procrastinate_jobs AS job
      WHERE job.status IN ('todo', 'doing') AND job.args ->> 'run_id' = run.id::text
  )
"""


async def sweep(session: Session, *, stalled_s: float = STALLED_S) -> list[UUID]:
    """Removes entries of dead workers, and enqueues queued runs without an entry.

    Any process may call it at any time; concurrent calls do nothing.

    Args:
        session: Committed by the caller.
        stalled_s: Seconds without a heartbeat after which a worker counts as dead.

    Returns:
        The runs that were enqueued again.
    """
    connection = await driver_connection(session)
    locked = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
    if await locked.fetchone() != (True,):
        return []
    finished = await connection.execute(ENTRIES_OF_THE_DEAD, {"stalled_s": stalled_s})
    if finished.rowcount > 0:
        logger.warning("removed %d queue entries of dead workers", finished.rowcount)
    orphans = await (await connection.execute(RUNS_WITHOUT_ENTRY)).fetchall()
    for run_id, pool, gpus, kind, priority, not_before in orphans:
        logger.warning("run %s had no queue entry; added a new one", run_id)
        await enqueue(
            session,
            run_id,
            pool=pool,
            gpus=gpus,
            kind=kind,
            priority=priority,
            not_before=not_before,
        )
    return [row[0] for row in orphans]
