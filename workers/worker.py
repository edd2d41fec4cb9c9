"""A worker process: claims runs that fit, supervises them concurrently, survives outages."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from app.cancellation import end_tasks, heed_cancellation
from app.queue.delivery import Postponed, QueueWorker
from app.queue.entries import queue_name
from app.services.queueing.waiting import Offer
from pricetag.attempt.meters import Devices, describe
from pricetag.log_lines import about
from pricetag.metering.journal import Journal, JournalError, purge_shipped
from pricetag.metering.nvml_devices import Device
from workers.attempt.fetching import Fetcher
from workers.attempt.launch import ClaimedRun
from workers.attempt.nursery import Nursery
from workers.attempt.recovery import end_orphans, let_go, lock_orphans
from workers.attempt.releases import Releases
from workers.attempt.shipper import Shipper
from workers.attempt.supervisor import Supervisor
from workers.attempt.uploads import Uploads
from workers.job import disk
from workers.node.devices import DevicePool, DeviceSet
from workers.node.identity import NodeConfig, worker_is_gone
from workers.node.leases import LeaseKeeper
from workers.node.live_power import LivePower
from workers.node.machine import Machine
from workers.node.meter import NodeMeter
from workers.node.power_limits import restore_left
from workers.store import Store

logger = logging.getLogger(__name__)

FIT_RETRY_S = 0.5
MAX_BACKOFF_S = 10.0
HOUSEKEEPING_S = 10.0
SHIP_FIRST_S = 30.0
WITHDRAW_S = 2.0
KEEP_SHIPPED_S = 7 * 24 * 3600.0


class Worker:
    """Runs until ``stop`` is called.

    Args:
        config: This node.
        store: Its access to the database.
        devices: The accelerators it may use.
        cpu_slots: Number of CPU-only jobs that may run at the same time.
        node_meter: Whether this worker may meter the whole machine throughout its life.
        database_url: Finds the database; starts the embedded one if it is down.
        examine: Examines this node's meters; takes seconds, so it runs in the background.
        releases: Deletes states of trainings that ended studies have left; None to keep them.
        uploads: Moves artifacts to the artifact store; None without a store.
        fetcher: Provides models of earlier runs from the store; None without a store.
    """

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        devices: list[Device],
        *,
        cpu_slots: int,
        node_meter: bool = False,
        database_url: Callable[[], str],
        examine: Callable[[], dict[str, Any]],
        releases: Releases | None = None,
        uploads: Uploads | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._devices = {device.uuid: device for device in devices}
        self._pool = DevicePool(
            [device.uuid for device in devices], cpu_slots=cpu_slots, share=config.gpu_share
        )
        self._offer = Offer(config.pool, len(devices), cpu_slots, config.allow_commands)
        self._machine = Machine(
            config.data_dir, self._pool.capacity, cores_per_job=config.host_cores_per_job
        )
        self._live = LivePower(config.name, store.show_power)
        self._node_meter = NodeMeter(
            config.data_dir,
            live=self._live,
            use=self._machine.use,
            ship_hours=store.book_node_hours,
            ship_baselines=store.record_baselines,
        )
        self._is_node_metered = node_meter
        self._database_url = database_url
        self._examine = examine
        self._releases = releases
        self._uploads = uploads
        self._fetcher = fetcher
        self._nursery = Nursery(
            allow_hub=config.allow_hub, job_env=config.job_env, journal_dir=config.journal_dir
        )
        self._capabilities: dict[str, Any] = {}
        self._running: dict[UUID, Supervisor] = {}
        self._shipping: set[asyncio.Task[None]] = set()
        self._journals: set[Journal] = set()  # journals being shipped
        self._queue_worker: QueueWorker | None = None
        self._is_full = False  # whether the disk was full at the last check
        self._is_doubled = False  # whether another node of the same name was seen
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serves the queue until stopped; returns when every job has ended and is shipped."""
        self._machine.open()
        if neighbors := self._machine.neighbors():
            logger.info("other workers on this machine, which share its host: %d", neighbors)
        leases = LeaseKeeper(
            self._running,
            self._store.renew,
            lease_s=self._config.lease_s,
            grace_s=self._config.stop_grace_s,
        )
        side_tasks = [asyncio.create_task(leases.run()), asyncio.create_task(self._keep_house())]
        for task in side_tasks:
            task.add_done_callback(self._on_side_task_ended)
        side_tasks.append(asyncio.create_task(self._live.run()))
        side_tasks[-1].add_done_callback(_on_live_power_ended)
        if self._releases is not None:
            side_tasks.append(asyncio.create_task(self._releases.run()))
            side_tasks[-1].add_done_callback(_on_releases_ended)
        if self._uploads is not None:
            side_tasks.append(asyncio.create_task(self._uploads.run()))
            side_tasks[-1].add_done_callback(_on_uploads_ended)
        if self._is_node_metered:
            side_tasks.append(asyncio.create_task(self._node_meter.run()))
            side_tasks[-1].add_done_callback(_on_node_meter_ended)
        try:
            await self._serve()
        finally:
            for supervisor in list(self._running.values()):
                supervisor.request_stop("worker-stopping")
            await self._withdraw()
            if self._queue_worker is not None:
                await self._queue_worker.drain()
            if self._shipping:
                await asyncio.wait(self._shipping, timeout=self._config.stop_grace_s)
            _put_on_disk(self._journals)
            self._nursery.close()
            await end_tasks(side_tasks)
            self._machine.close()

    def stop(self) -> None:
        """Claims no more runs; asks the running jobs to save their state and end."""
        self._stopping.set()
        if self._queue_worker is not None:
            self._queue_worker.stop()

    def _on_side_task_ended(self, task: asyncio.Task[None]) -> None:
        """Stop the worker: it must not continue without its leases."""
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("a part of this worker failed; stopping", exc_info=error)
            self.stop()

    async def _serve(self) -> None:
        """Claims runs; starts again whenever the database was away."""
        backoff_s = 0.5
        while not self._stopping.is_set():
            try:
                url = await asyncio.to_thread(self._database_url)
                await self._begin()
                backoff_s = 0.5
                await self._queue(url).run()
            except Exception as error:  # running jobs continue; this loop only claims new runs
                logger.warning(
                    "the queue is unreachable (%s); retrying in %.1f s", error, backoff_s
                )
            if not self._stopping.is_set():
                await self._pause(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    def _queue(self, url: str) -> QueueWorker:
        if self._queue_worker is None:
            self._queue_worker = QueueWorker(
                url,
                queues=self._queues(self._pool.sizes()),
                concurrency=self._pool.capacity,
                execute=self._execute,
                name=self._config.worker,
                fits=lambda: self._queues(self._pool.fitting()) if self._has_room() else [],
            )
        return self._queue_worker

    def _has_room(self) -> bool:
        """Whether a run may start; on a full disk it would only use up attempts."""
        temporary = Path(os.environ.get("TMPDIR") or "/tmp")  # tempfile would write a test file
        folders = (self._config.data_dir, self._config.artifacts_dir, temporary)
        full = next((folder for folder in folders if disk.is_full(folder)), None)
        if full is not None and not self._is_full:
            logger.error("the disk of %s is full: no run is started until there is space", full)
        self._is_full = full is not None
        return full is None

    def _queues(self, sizes: list[int]) -> list[str]:
        kinds = (False, True) if self._config.allow_commands else (False,)
        pool = self._config.pool
        return [queue_name(pool, size, programs=kind) for kind in kinds for size in sizes]

    async def _begin(self) -> None:
        """Registers this node and finishes the attempts of its dead workers."""
        await asyncio.to_thread(restore_left, self._config.data_dir)
        await self._register()
        await self._recover()

    async def _register(self) -> None:
        devices = [asdict(device) for device in self._devices.values()]
        offer = None if self._stopping.is_set() else self._offer
        doubled = await self._store.register(devices, self._capabilities, offer)
        if doubled and not self._is_doubled:
            self._is_doubled = True
            logger.warning(
                "another machine, or a worker with another data folder, has the name %r too: "
                "their energy is booked as one node; use another --name for each",
                self._config.name,
            )

    async def _withdraw(self) -> None:
        """Announces that this worker takes no more runs; if that fails, its silence shows it."""
        self._stopping.set()
        try:
            async with asyncio.timeout(WITHDRAW_S):
                await self._register()
        except Exception as error:  # the database may be away; jobs must end all the same
            logger.warning("this worker could not announce its end (%s)", error)

    async def _keep_house(self) -> None:
        """Periodically registers this node, and finishes the attempts of its dead workers."""
        is_examined = False
        while True:
            try:
                if not is_examined:
                    self._capabilities = await asyncio.to_thread(self._examine)
                    is_examined = True
                await self._register()
                await self._recover()
                await asyncio.to_thread(restore_left, self._config.data_dir)
                await asyncio.to_thread(
                    purge_shipped, self._config.journal_dir, older_than_s=KEEP_SHIPPED_S
                )
            except Exception as error:  # the database may be away; the next round tries again
                logger.warning("housekeeping postponed (%s)", error)
            heed_cancellation()
            await asyncio.sleep(HOUSEKEEPING_S)

    async def _recover(self) -> None:
        journal_dir = self._config.journal_dir
        orphans = await asyncio.to_thread(lock_orphans, journal_dir)
        try:
            ingested = await self._store.ingested([id_ for id_, _ in orphans]) if orphans else {}
        except BaseException:
            for _, journal in orphans:
                let_go(journal)
            raise
        ended = await asyncio.to_thread(lambda: list(end_orphans(orphans, ingested)))
        shipping = []
        for attempt_id, journal in ended:
            logger.warning("attempt %s: shipping the journal of a dead worker", attempt_id)
            shipper = Shipper(journal, attempt_id, self._store.ingest)
            shipper.finish()
            shipping.append(self._ship(journal, shipper))
        if shipping:
            await asyncio.wait(shipping, timeout=SHIP_FIRST_S)
        for attempt in await self._store.open_attempts():
            if worker_is_gone(attempt.worker) and not self._has_journal(attempt.attempt_id):
                await self._store.close_lost(attempt.attempt_id)

    def _has_journal(self, attempt_id: UUID) -> bool:
        """Whether a journal waits to be shipped: then it has the attempt's end."""
        return (self._config.journal_dir / f"{attempt_id}.jsonl").exists()

    async def _execute(self, run_id: UUID) -> None:
        """Supervises one run from claim to end; called by the queue."""
        demand = await self._store.demand(run_id)
        if demand is None:
            return
        if demand.runs_program and not self._config.allow_commands:
            # The entry is from before programs had queues of their own.
            await self._store.requeue(run_id)
            return
        may_begin = not self._stopping.is_set() and self._has_room()
        device_set = self._pool.take(demand.gpus) if may_begin else None
        if device_set is None:
            raise Postponed(FIT_RETRY_S)
        try:
            await self._run_on(run_id, device_set)
        finally:
            self._pool.give_back(device_set)

    async def _run_on(self, run_id: UUID, device_set: DeviceSet) -> None:
        described = describe([self._devices[uuid] for uuid in device_set.uuids])
        claim = await self._store.claim(run_id, described)
        if claim is None:
            return
        with about(run_id=run_id, attempt_id=claim.attempt_id):
            await self._supervise(claim, device_set, described)

    async def _supervise(
        self, claim: ClaimedRun, device_set: DeviceSet, described: tuple[dict[str, Any], ...]
    ) -> None:
        try:
            journal = Journal.create(self._config.journal_dir, claim.attempt_id)
        except (OSError, JournalError) as error:
            message = f"its worker could not create a journal: {error}"
            await self._store.close_lost(claim.attempt_id, message)
            return
        shipper = Shipper(journal, claim.attempt_id, self._store.ingest)
        shipping = self._ship(journal, shipper)
        try:
            devices = await asyncio.to_thread(self._share, claim.attempt_id, device_set, described)
            supervisor = Supervisor(
                claim, self._config, devices, journal, self._nursery, self._live, self._fetcher
            )
            self._running[claim.attempt_id] = supervisor
            if self._stopping.is_set():
                supervisor.request_stop("worker-stopping")
            await supervisor.run()
        except BaseException:
            # A journal without an end is an orphan: recovery takes it from here.
            await end_tasks([shipping])
            let_go(journal)
            raise
        finally:
            self._running.pop(claim.attempt_id, None)
            await asyncio.to_thread(self._machine.release, str(claim.attempt_id))
        shipper.finish()

    def _share(
        self, attempt_id: UUID, device_set: DeviceSet, described: tuple[dict[str, Any], ...]
    ) -> Devices:
        """A job's devices, with its share of the host."""
        slices = [piece for uuid in device_set.uuids if (piece := self._devices[uuid].slice)]
        devices = Devices(
            device_set.uuids,
            described,
            slices=tuple(slices),
            jobs_per_device=self._config.gpu_share,
            baselines=tuple(self._node_meter.baselines.all()),
            is_host_taken=self._machine.is_taken(),
        )
        ratio = self._machine.reserve(
            str(attempt_id),
            units=max(1, len(device_set.uuids)),
            components=devices.component_ids(),
        )
        return replace(devices, host_ratio=ratio)

    def _ship(self, journal: Journal, shipper: Shipper) -> asyncio.Task[None]:
        async def ship() -> None:
            self._journals.add(journal)
            try:
                await shipper.run()
                try:
                    journal.mark_shipped()
                except (OSError, JournalError) as error:  # it is shipped again, without effect
                    logger.error("%s could not be set aside: %s", journal.path, error)
                    let_go(journal)
                if self._uploads is not None:
                    self._uploads.wake()
            finally:
                self._journals.discard(journal)

        task = asyncio.create_task(ship())
        self._shipping.add(task)
        task.add_done_callback(self._shipping.discard)
        return task

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _on_node_meter_ended(task: asyncio.Task[None]) -> None:
    """Logs the failure; jobs continue, since each has its own meter."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the node's meter failed: idle energy is unknown from now on", exc_info=error)


def _on_uploads_ended(task: asyncio.Task[None]) -> None:
    """Logs the failure; artifacts stay in the node's folder until the worker starts again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("artifacts are no longer moved to the store", exc_info=error)


def _on_releases_ended(task: asyncio.Task[None]) -> None:
    """Logs the failure; states of trainings stay until the worker starts again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("states of ended studies are no longer deleted", exc_info=error)


def _on_live_power_ended(task: asyncio.Task[None]) -> None:
    """Logs the failure; jobs continue, only live charts have a gap."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("live power is no longer sent", exc_info=error)


def _put_on_disk(journals: Iterable[Journal]) -> None:
    """Write what still waits in memory; it would be lost with this process."""
    for journal in journals:
        try:
            journal.sync()
        except JournalError as error:
            logger.error("%s; what is not in the database either is lost", error)
