"""A worker process: takes runs that fit, supervises them side by side, outlives outages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from app.queue import QueueWorker, make_worker, queue_name
from pricetag.metering.journal import Journal
from pricetag.metering.nvml import Device
from workers.devices import DevicePool, DeviceSet
from workers.leases import LeaseKeeper
from workers.node import NodeConfig, worker_is_alive
from workers.recovery import adopt_orphans
from workers.shipper import Shipper
from workers.store import Store
from workers.supervisor import Devices, Supervisor, describe

logger = logging.getLogger(__name__)

FIT_TIMEOUT_S = 2.0
MAX_BACKOFF_S = 10.0


class Worker:
    """Runs until ``stop`` is called.

    Args:
        config: This node.
        store: Its edge to the database.
        devices: The accelerators it may use.
        cpu_slots: How many jobs without an accelerator may run side by side.
        database_url: Finds the database, starting the embedded one where it is down.
        capabilities: What the meters of this node can do, for the node's record.
        environment: Packages and commit, recorded with every attempt.
    """

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        devices: list[Device],
        *,
        cpu_slots: int,
        database_url: Callable[[], str],
        capabilities: dict[str, Any],
        environment: dict[str, Any],
    ) -> None:
        self._config = config
        self._store = store
        self._devices = {device.uuid: device for device in devices}
        self._pool = DevicePool([device.uuid for device in devices], cpu_slots=cpu_slots)
        self._database_url = database_url
        self._capabilities = capabilities
        self._environment = environment
        self._running: dict[UUID, Supervisor] = {}
        self._active: set[asyncio.Task[None]] = set()
        self._shipping: set[asyncio.Task[None]] = set()
        self._queue_worker: QueueWorker | None = None
        self._reduced = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serves the queue until stopped; returns when every job has ended and is shipped."""
        keeper = asyncio.create_task(
            LeaseKeeper(self._running, self._store.renew, lease_s=self._config.lease_s).run()
        )
        try:
            await self._serve()
        finally:
            for supervisor in list(self._running.values()):
                supervisor.request_stop("worker-stopping")
            if self._active:
                await asyncio.wait(self._active)
            if self._shipping:
                await asyncio.wait(self._shipping, timeout=self._config.stop_grace_s)
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    def stop(self) -> None:
        """Takes no further run, asks the running ones to save their state and leave."""
        self._stopping.set()
        if self._queue_worker is not None:
            self._queue_worker.stop()

    async def _serve(self) -> None:
        backoff_s = 0.5
        while not self._stopping.is_set():
            try:
                url = await asyncio.to_thread(self._database_url)
                await self._begin()
                backoff_s = 0.5
                await self._serve_queue(url)
            except Exception as error:  # jobs go on meanwhile; this loop only takes new ones
                logger.warning("the queue is out of reach (%s); again in %.1f s", error, backoff_s)
                await self._pause(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    async def _serve_queue(self, url: str) -> None:
        """One stretch with the queue, with as many jobs at once as there is room for now."""
        room = self._pool.capacity - len(self._active)
        if room <= 0:
            await asyncio.wait(self._active, return_when=asyncio.FIRST_COMPLETED)
            return
        self._reduced = room < self._pool.capacity
        self._queue_worker = make_worker(
            url,
            queues=[queue_name(self._config.pool, size) for size in self._pool.sizes()],
            concurrency=room,
            execute=self._execute,
            name=self._config.worker,
        )
        try:
            if not self._stopping.is_set():
                await self._queue_worker.run()
        finally:
            self._queue_worker = None

    async def _begin(self) -> None:
        """Registers this node and finishes what a dead worker of it left behind."""
        await self._store.register(
            [device.as_dict() for device in self._devices.values()], self._capabilities
        )
        orphans = await asyncio.to_thread(lambda: list(adopt_orphans(self._config.journal_dir)))
        for attempt_id, journal in orphans:
            logger.warning("attempt %s: shipping the journal of a dead worker", attempt_id)
            shipper = Shipper(journal, attempt_id, self._store.ingest)
            shipper.finish()
            self._ship(journal, shipper)
        if self._shipping:
            await asyncio.wait(self._shipping, timeout=30)
        for attempt in await self._store.open_attempts():
            if not worker_is_alive(attempt.worker) and attempt.attempt_id not in self._running:
                await self._store.close_lost(attempt.attempt_id)

    async def _execute(self, run_id: UUID) -> None:
        """The queue's call: supervises the run, and goes on if the queue breaks meanwhile."""
        task = asyncio.create_task(self._run_one(run_id), name=f"run {run_id}")
        self._active.add(task)
        task.add_done_callback(self._on_done)
        await asyncio.shield(task)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s failed", task.get_name(), exc_info=error)
        if self._reduced and self._queue_worker is not None:
            self._queue_worker.stop()  # there is room for more now: begin a new stretch

    async def _run_one(self, run_id: UUID) -> None:
        count = await self._store.demand(run_id)
        if count is None or self._stopping.is_set():
            if count is not None:
                await self._store.requeue(run_id, delay_s=0.0)
            return
        try:
            held = await asyncio.wait_for(self._pool.take(count), FIT_TIMEOUT_S)
        except TimeoutError:
            await self._store.requeue(run_id, delay_s=FIT_TIMEOUT_S)
            return
        try:
            await self._run_on(run_id, held)
        finally:
            self._pool.give_back(held)

    async def _run_on(self, run_id: UUID, held: DeviceSet) -> None:
        described = describe([self._devices[uuid] for uuid in held.uuids])
        claim = await self._store.claim(run_id, described)
        if claim is None:
            return
        journal = Journal.create(self._config.journal_dir, claim.attempt_id)
        shipper = Shipper(journal, claim.attempt_id, self._store.ingest)
        self._ship(journal, shipper)
        supervisor = Supervisor(
            claim, self._config, Devices(held.uuids, described), journal, self._environment
        )
        self._running[claim.attempt_id] = supervisor
        try:
            await supervisor.run()
        finally:
            del self._running[claim.attempt_id]
            shipper.finish()

    def _ship(self, journal: Journal, shipper: Shipper) -> None:
        async def ship() -> None:
            await shipper.run()
            journal.mark_shipped()

        task = asyncio.create_task(ship())
        self._shipping.add(task)
        task.add_done_callback(self._shipping.discard)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
