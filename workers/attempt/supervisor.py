"""The parent process of a job: opens the meter, starts the child, handles its events, books the
end.

It never loads a model or computes on a device: the metering process is separate from the
training process, and outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pricetag.attempt.charged import ChargedSoFar
from pricetag.attempt.event_desk import EventDesk
from pricetag.attempt.event_server import EventServer
from pricetag.attempt.last_moment import clock_of_meter
from pricetag.attempt.log import AttemptLog
from pricetag.attempt.meters import Devices, JobMeters
from pricetag.attempt.outcome import Observed, Reason, decide, oom_kills
from pricetag.attempt.progress import ProgressBoard
from pricetag.attempt.socket_folder import own_folder, socket_path
from pricetag.attempt.stages import StageBook
from pricetag.metering import Component, Reading
from pricetag.metering.journal import Journal, JournalError
from pricetag.metering.meter import Meter
from pricetag.metering.nvml_limits import PowerLimitError, W
from pricetag.metering.second_opinion import SecondOpinion
from workers.attempt import leftovers
from workers.attempt.fetching import Fetcher, FetchError
from workers.attempt.launch import (
    ClaimedRun,
    child_note,
    note_child,
    prepare,
)
from workers.attempt.output import copy_lines
from workers.attempt.processes import ChildProcess, Starter
from workers.job import disk
from workers.node.identity import NodeConfig
from workers.node.live_power import LivePower
from workers.node.power_limits import LimitNote, PowerLimits

logger = logging.getLogger(__name__)

TICK_S = 1.0
DRAIN_S = 5.0
MAX_WAITING_BYTES = 64 << 20
"""Size of the records that wait in memory for a full disk above which the job is stopped."""
MAX_UNSAFE_S = 600.0
"""Time in s after which a job is stopped whose records reach neither the disk nor the database."""


class Supervisor:
    """Runs one attempt of one run from its claim to its booked end.

    Args:
        claim: The claimed run.
        config: Settings of this worker.
        devices: Devices held for the attempt.
        journal: The attempt's journal, new and locked.
        starter: Starts the child.
        live: Shows the power samples of the attempt's meter.
        fetcher: Provides models of earlier runs; None if they are in the artifact folder.
    """

    def __init__(
        self,
        claim: ClaimedRun,
        config: NodeConfig,
        devices: Devices,
        journal: Journal,
        starter: Starter,
        live: LivePower | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        self.claim = claim
        self._fetcher = fetcher
        self._config = config
        self._devices = devices
        self._journal = journal
        self._starter = starter
        self._observed = Observed()
        self._log = AttemptLog(journal, self._now_s)
        self._stages = StageBook()
        self._board = ProgressBoard()
        self._desk = EventDesk(
            self._log, self._stages, self._board, self._observed, edge=self._edge, now_s=self._now_s
        )
        self._note = child_note(config, claim.attempt_id)
        self._folder = own_folder()
        self._socket = socket_path(self._folder)
        self._meters = JobMeters(devices, marks=[leftovers.mark(self._socket)])
        self._charged = ChargedSoFar()
        self._live = live
        self._limits = PowerLimits(config.data_dir, config.worker)
        self._limited: dict[str, LimitNote] = {}
        self._meter = Meter(
            self._meters.sources,
            emit=self._on_readings,
            on_power=None if live is None else live.add,
        )
        self._events = EventServer(
            self._socket, self._desk.take, self._desk.reject, self._desk.leave
        )
        self._process: ChildProcess | None = None
        self._metering = False
        self._stopper: asyncio.Task[None] | None = None
        self._stop_requested = asyncio.Event()

    def request_stop(self, reason: str, message: str | None = None) -> None:
        """Asks the job to save its state and end; kills it after the grace time."""
        if self._observed.stop_reason is None:
            self._observed.stop_reason, self._observed.stop_message = reason, message
            self._stop_requested.set()
            self._events.broadcast_stop(reason)
            self._stopper = asyncio.create_task(self._end_after_grace())

    def pulse(self) -> None:
        """Notify the job of a lease renewal."""
        self._events.pulse()

    def fence(self) -> None:
        """Kills the job at once: this attempt was closed elsewhere, or is about to be."""
        self._observed.stop_reason = self._observed.stop_reason or "fenced"
        self._kill_group(signal.SIGKILL)

    async def run(self) -> None:
        """Runs the attempt; returns when its end is in the journal, or in memory on a full disk."""
        second_opinion = SecondOpinion(self._devices.uuids)
        oom_before = oom_kills()
        try:
            components = await asyncio.to_thread(self._open_meter)
            self._metering = True
            self._write_start([component.as_dict() for component in components])
            second_opinion.start()
            await self._events.start()
            await self._run_child()
            oom_after = oom_kills()
            self._observed.out_of_memory = oom_before is not None and oom_after != oom_before
        except Exception as error:
            logger.exception("attempt %s: the supervisor failed", self.claim.attempt_id)
            self._observed.error = _failure(error)
        finally:
            await self._kill_all()
            try:
                await self._close(second_opinion)
            finally:
                await asyncio.to_thread(self._limits.restore, list(self._limited))

    def _limit_power(self) -> None:
        """Sets the run's power limit, before the meter is opened and the job started.

        Raises:
            PowerLimitError: If it cannot be set: the job would not be the one that was asked for.
        """
        limit_w = self.claim.power_limit_w
        if limit_w is None:
            return
        if self._devices.jobs_per_device > 1:
            raise PowerLimitError("power_limit_w: the devices of this worker are shared by jobs")
        notes = self._limits.set(self._devices.uuids, limit_w)
        self._limited = {note.uuid: note for note in notes}

    def _open_meter(self) -> list[Component]:
        self._limit_power()
        opened = self._meter.open()
        if self._live is not None:
            self._live.meet(opened)
        components = [
            _with_limit(component, self._limited)
            for component in self._meters.share(opened, self._meter.now_s())
        ]
        self._charged.begin(components)
        return components

    def _write_start(self, components: list[dict[str, Any]]) -> None:
        self._log.append(
            "start",
            t_s=0.0,
            run_id=str(self.claim.run_id),
            attempt_id=str(self.claim.attempt_id),
            attempt_number=self.claim.number,
            worker=self._config.worker,
            node_name=self._config.name,
            devices=list(self._devices.described),
            components=components,
            shares_overlaps=True,
            clock=clock_of_meter(self._now_s()),
        )

    async def _run_child(self) -> None:
        if self._stop_requested.is_set():
            return  # canceled after the claim
        upstream_folder = await self._fetch_upstream()
        if self._observed.error is not None or self._observed.stop_reason is not None:
            return
        launch = prepare(
            self.claim, self._config, self._devices.uuids, self._folder, upstream_folder
        )
        self._log.append("environment", variables=launch.recorded)
        process = await self._starter.start(launch)
        self._process = process
        self._meters.adopt(process.pid)
        note_child(self._note, process.pid, self._socket)
        self._desk.last_sign_s = self._now_s()
        side_tasks = [
            asyncio.create_task(copy_lines(process.stdout, self._on_stdout)),
            asyncio.create_task(copy_lines(process.stderr, self._on_stderr)),
            asyncio.create_task(self._watch()),
        ]
        try:
            self._observed.exit_code, cpu_s = await process.wait()
            self._meters.ended(process.pid, cpu_s)
            await self._edge()
            await self._kill_all()
            await self._events.drain(DRAIN_S)
            await asyncio.wait(side_tasks[:2], timeout=DRAIN_S)
        finally:
            for task in side_tasks:
                task.cancel()
            await asyncio.gather(*side_tasks, return_exceptions=True)

    async def _fetch_upstream(self) -> Path | None:
        """Puts the model of an earlier run into the work folder; its energy is the run's."""
        if self._fetcher is None or self.claim.upstream is None:
            return None
        try:
            fetched = await self._fetcher.fetch(
                self.claim.upstream,
                self._config.work_dir / str(self.claim.run_id),
                lambda: self._observed.stop_reason is not None,
            )
        except FetchError as error:
            self._observed.error = error.reason
            return None
        if fetched is None:
            return None
        self._log.text(
            f"model of run {self.claim.upstream['run_id']}: {fetched.files} files in "
            f"{fetched.duration_s:.1f} s, {fetched.fetched_bytes:,} bytes from the artifact store",
            "pricetag",
        )
        return fetched.folder

    async def _watch(self) -> None:
        """Every second, records live progress and checks the job's heartbeat."""
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self._now_s()
            record = self._board.record(
                now_s, self._stages.innermost(), self._stages.started_s(), self._charged.figures()
            )
            self._log.offer("progress", **record)
            self._stop_if_unsafe()
            if now_s - self._desk.last_sign_s > self._config.heartbeat_timeout_s:
                self._observed.hung = True
                self._log.text("no heartbeat: the job is killed", "pricetag")
                self._kill_group(signal.SIGKILL)
                return

    def _stop_if_unsafe(self) -> None:
        """Stops a job with too many records in memory, or records that are nowhere else."""
        if self._log.waiting_bytes > MAX_WAITING_BYTES:
            self.request_stop(
                "disk-full",
                "the disk of the worker was full until there was no memory for further records, "
                "so the attempt was stopped; the measured energy is booked",
            )
        elif self._log.unsafe_s > MAX_UNSAFE_S:
            self.request_stop(
                "disk-full",
                f"for {MAX_UNSAFE_S / 60:.0f} minutes the disk of the worker was full and the "
                "database was unreachable, so the attempt was stopped; the measured energy is "
                "booked",
            )

    def _now_s(self) -> float:
        """Seconds since the meter opened; 0 if it never did."""
        return self._meter.now_s() if self._metering else 0.0

    async def _edge(self) -> float:
        readings = await asyncio.to_thread(self._meter.edge)
        return readings[0].t_s if readings else self._now_s()

    def _on_readings(self, readings: list[Reading]) -> None:
        self._meters.note(readings)
        self._charged.add(readings)
        self._log.readings(readings)

    def _on_stdout(self, line: str) -> None:
        self._log.text(line, "stdout")

    def _on_stderr(self, line: str) -> None:
        self._log.text(line, "stderr")

    async def _end_after_grace(self) -> None:
        await asyncio.sleep(self._config.stop_grace_s)
        self._log.text("the job did not stop in time: it is killed", "pricetag")
        self._kill_group(signal.SIGTERM)
        await asyncio.sleep(min(5.0, self._config.stop_grace_s))
        self._kill_group(signal.SIGKILL)

    def _kill_group(self, sent: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, sent)

    async def _kill_all(self) -> None:
        """Kills the job's process group, and the processes that it started outside."""
        self._kill_group(signal.SIGKILL)
        if self._process is None:
            return
        if killed := await asyncio.to_thread(leftovers.kill, self._socket):
            text = f"processes that the job had started outlived it and were killed: {killed}"
            self._log.text(text, "pricetag")

    async def _close(self, second_opinion: SecondOpinion) -> None:
        """Closes the meter and the pipe, then writes the end, the attempt's last record."""
        if self._stopper is not None:
            self._stopper.cancel()
        await self._events.close()
        self._desk.finish()
        try:
            await self._write_end(await self._close_meter(), second_opinion)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._note.unlink(missing_ok=True)

    async def _write_end(self, end_s: float, second_opinion: SecondOpinion) -> None:
        opinion = await asyncio.to_thread(second_opinion.stop)
        self._log.append("second_opinion", t_s=end_s, **opinion)
        status, reason = decide(self._observed)
        for key in self._stages.open_keys():
            self._log.append("stage_end", t_s=end_s, key=key, status=status)
        self._log.append("end", t_s=end_s, status=status, reason=reason)
        try:
            self._journal.sync()
        except JournalError as error:  # it is shipped from memory
            logger.error("attempt %s: %s", self.claim.attempt_id, error)

    async def _close_meter(self) -> float:
        """Takes the last reading; returns its time."""
        if not self._metering:
            return 0.0
        end_s = await self._edge()
        await asyncio.to_thread(self._meter.close)
        self._meters.close()
        return end_s


def _with_limit(component: Component, limited: Mapping[str, LimitNote]) -> Component:
    """A component that states the limit under which the run was metered."""
    note = limited.get(component.id.removeprefix("gpu:"))
    if note is None:
        return component
    text = (
        f"power limit {note.limit_mw / W:g} W, set for this run "
        f"({note.restore_mw / W:g} W before and afterwards)"
    )
    notes = "; ".join(part for part in (component.notes, text) if part)
    return replace(component, power_limit_w=note.limit_mw / W, notes=notes)


def _failure(error: Exception) -> Reason:
    """The reason of an attempt whose supervisor failed."""
    message = f"the worker could not run the job: {type(error).__name__}: {error}"
    if isinstance(error, PowerLimitError):
        return {"code": "power-limit", "message": str(error)}
    if disk.is_full_error(error):
        return {"code": "disk-full", "message": message}
    return {"code": "supervisor-failed", "message": message}
