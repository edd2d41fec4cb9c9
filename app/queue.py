"""The queue, with one entry per queued run; the only module that uses Procrastinate.

An entry is a delivery, not the truth: ``services.execution.claim`` decides whether a run may
start. Therefore a superfluous entry is harmless, :func:`sweep` restores missing entries, and
finished entries are deleted at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import procrastinate
import psycopg
from procrastinate import exceptions, jobs, manager, retry, worker

from app.db import Session, connect_args, driver_connection, libpq_url
from models import Run
from pricetag.recipes import runs_program

logger = logging.getLogger(__name__)

TASK = "execute_run"
PROGRAMS = "+commands"
HEARTBEAT_S = 5.0
STALLED_S = 30.0
POLL_S = 0.5
POOL_TIMEOUT_S = 5.0
MAX_QUEUE_CHARS = 63 - len("procrastinate_queue_v1#")
SWEEP_LOCK = 0x70726963_73776570  # one sweeper at a time

Execute = Callable[[UUID], Awaitable[None]]
Fits = Callable[[], Sequence[str]]


class QueueAwayError(Exception):
    """The database of the queue cannot be reached."""


class Postponed(Exception):  # noqa: N818 - not an error: "not now"
    """Raised by an executor that cannot run now: the entry returns to the queue.

    Args:
        delay_s: Minimum delay before the next delivery, in s.
    """

    def __init__(self, delay_s: float = 1.0) -> None:
        super().__init__(f"postponed by {delay_s} s")
        self.delay_s = delay_s


def queue_name(pool: str, gpus: int, *, programs: bool = False) -> str:
    """The queue of a pool's runs with this number of accelerators.

    Runs that execute programs have a queue of their own, from which only workers that allow
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


class QueueWorker:
    """Fetches entries from several queues and passes their runs to ``execute``.

    ``run`` ends or raises if the database goes away; call it again later. Executing runs continue
    meanwhile, and count towards the concurrency of the next ``run``.

    Args:
        url: The database.
        queues: All its queues; entries are fetched by priority, then by age.
        concurrency: Maximum number of runs it executes at the same time.
        execute: Executes a run; may raise :class:`Postponed`. It must reserve what ``fits``
            counts before it first awaits anything.
        name: Name for the logs.
        fits: Returns the queues whose runs could start now (free accelerators), called before
            each fetch; None for all queues.
    """

    def __init__(
        self,
        url: str,
        *,
        queues: Sequence[str],
        concurrency: int,
        execute: Execute,
        name: str,
        fits: Fits | None = None,
    ) -> None:
        self._url = url
        self._queues = list(queues)
        self._concurrency = concurrency
        self._execute = execute
        self._name = name
        self._fits = fits
        self._executing: dict[asyncio.Task[None], UUID] = {}
        self._worker: _Worker | None = None
        self._stopped = False

    @property
    def executing(self) -> tuple[UUID, ...]:
        """The runs that are being executed."""
        return tuple(self._executing.values())

    async def run(self) -> None:
        """Works until stopped; also returns if the connection is lost while it is idle.

        Raises:
            QueueAwayError: If the database is away.
        """
        try:
            await self._probe()
            await self._serve()
        except (psycopg.OperationalError, exceptions.ConnectorException) as error:
            raise QueueAwayError(str(error)) from error

    async def _probe(self) -> None:
        # A pool would keep trying for half a minute.
        connection = await psycopg.AsyncConnection.connect(
            libpq_url(self._url), **connect_args(f"pricetag queue {self._name}")
        )
        await connection.close()

    async def _serve(self) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=libpq_url(self._url),
            kwargs=connect_args(f"pricetag queue {self._name}"),
            min_size=1,
            max_size=3,
            timeout=POOL_TIMEOUT_S,
            reconnect_timeout=POOL_TIMEOUT_S,
        )
        app = procrastinate.App(connector=connector)
        app.job_manager = _Manager(connector, self._fitting)
        app.task(name=TASK, retry=_Postponement())(self._deliver)
        try:
            await app.open_async()
            await self._work(app)
        finally:
            await app.close_async()

    async def _work(self, app: procrastinate.App) -> None:
        if self._stopped:
            return
        self._worker = _Worker(
            app=app,
            queues=self._queues,
            name=self._name,
            concurrency=self._concurrency,
            fetch_job_polling_interval=POLL_S,
            abort_job_polling_interval=3600.0,  # cancellation uses the lease
            shutdown_graceful_timeout=0.0,
            delete_jobs="always",
            install_signal_handlers=False,
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=STALLED_S,
        )
        try:
            await self._worker.run()  # type: ignore[no-untyped-call]
        finally:
            self._worker = None

    def stop(self) -> None:
        """Fetches no more entries; ``run`` ends soon, and executing runs continue."""
        self._stopped = True
        if self._worker is not None:
            self._worker.stop()  # type: ignore[no-untyped-call]

    def wake(self) -> None:
        """Checks the queues now, because an accelerator or slot has become free."""
        if self._worker is not None:
            self._worker.wake()

    async def drain(self) -> None:
        """Waits until nothing is executing."""
        while self._executing:
            await asyncio.wait(self._executing)

    def _fitting(self) -> Sequence[str]:
        if len(self._executing) >= self._concurrency:
            return ()
        return self._queues if self._fits is None else self._fits()

    async def _deliver(self, run_id: str) -> None:
        task = asyncio.create_task(self._call(UUID(run_id)), name=f"run {run_id}")
        self._executing[task] = UUID(run_id)
        task.add_done_callback(self._done)
        # Procrastinate cancels running tasks when it stops: that ends only the entry.
        await asyncio.shield(task)

    async def _call(self, run_id: UUID) -> None:
        await self._execute(run_id)

    def _done(self, task: asyncio.Task[None]) -> None:
        run_id = self._executing.pop(task)
        self.wake()
        if task.cancelled() or isinstance(task.exception(), Postponed):
            return
        if (error := task.exception()) is not None:
            logger.error("executing run %s failed", run_id, exc_info=error)


class _Worker(worker.Worker):
    def wake(self) -> None:
        self._new_job_event.set()

    async def _periodic_deferrer(self) -> None:
        # There are no periodic tasks. The original would return at once, and so end the watch
        # over the other side tasks: a dead listener would go unnoticed.
        await asyncio.Event().wait()


class _Manager(manager.JobManager):
    """Fetches only runs that fit, and tolerates that an entry to finish is gone."""

    def __init__(self, connector: procrastinate.BaseConnector, fitting: Fits) -> None:
        super().__init__(connector)
        self._fitting = fitting

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        fitting = list(self._fitting())
        return await super().fetch_job(fitting, worker_id) if fitting else None

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        try:
            await super().finish_job(job, status, delete_job)
        except exceptions.ConnectorException as error:
            logger.warning("queue entry %s is left to the sweep: %s", job.id, error)

    async def retry_job(self, job: jobs.Job, *args: Any, **kwargs: Any) -> None:
        try:
            await super().retry_job(job, *args, **kwargs)
        except exceptions.ConnectorException as error:
            logger.warning("queue entry %s is left to the sweep: %s", job.id, error)


class _Postponement(retry.BaseRetryStrategy):
    def get_retry_decision(
        self, *, exception: BaseException, job: jobs.Job
    ) -> retry.RetryDecision | None:
        if isinstance(exception, Postponed):
            return retry.RetryDecision(
                retry_at=datetime.now(UTC) + timedelta(seconds=exception.delay_s)
            )
        return None
