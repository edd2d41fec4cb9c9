"""The worker's side of the queue: fetches entries and executes their runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import procrastinate
import psycopg
from procrastinate import exceptions, jobs, manager, retry, worker

from app.db import connect_args, libpq_url
from app.queue.entries import STALLED_S, TASK

logger = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
POLL_S = 0.5
POOL_TIMEOUT_S = 5.0

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


class QueueWorker:
    """Fetches entries from several queues and passes their runs to ``execute``.

    ``run`` ends or raises if the database goes away; call it again later. Executing runs continue
    in the meantime, and count towards the concurrency of the next ``run``.

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
            logger.warning(
                "queue entry %s not updated; the periodic clean-up will do it: %s", job.id, error
            )

    async def retry_job(self, job: jobs.Job, *args: Any, **kwargs: Any) -> None:
        try:
            await super().retry_job(job, *args, **kwargs)
        except exceptions.ConnectorException as error:
            logger.warning(
                "queue entry %s not updated; the periodic clean-up will do it: %s", job.id, error
            )


class _Postponement(retry.BaseRetryStrategy):
    def get_retry_decision(
        self, *, exception: BaseException, job: jobs.Job
    ) -> retry.RetryDecision | None:
        if isinstance(exception, Postponed):
            return retry.RetryDecision(
                retry_at=datetime.now(UTC) + timedelta(seconds=exception.delay_s)
            )
        return None
