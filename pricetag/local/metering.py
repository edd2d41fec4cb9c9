"""Meters one program of this machine: the meter, journal and events of a worker, without a server.

The process that calls this only meters: the program is another process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pricetag.attempt.ending import end_if_open
from pricetag.attempt.last_moment import clock_of_meter
from pricetag.attempt.log import AttemptLog
from pricetag.attempt.meters import Devices, JobMeters
from pricetag.attempt.stages import StageBook
from pricetag.events import ENV_VAR
from pricetag.local import noted
from pricetag.local.listener import Listener
from pricetag.local.request import Request
from pricetag.local.runs import write_result
from pricetag.local.settings import LocalSettings
from pricetag.local.slurm import EARLY_S, SlurmTask
from pricetag.local.slurm_node import NOT_YET, JobOnNode, accelerators_of_job, host_ratio
from pricetag.metering import Reading
from pricetag.metering.journal import Journal, JournalError
from pricetag.metering.machine import node_name
from pricetag.metering.meter import Meter
from pricetag.metering.rapl_zones import powercap_root
from pricetag.metering.thread_model import thread_model

DRAIN_S = 5.0
WORKER = "local"
JOURNAL_FORMAT = 1
"""Rises with a change after which an earlier server would read a journal wrongly."""

KINDS = {"program": "command", "block": "track"}
"""Kind of the stage that spans a whole run, by the kind of the run."""


class LocalMeter:
    """The meter of one local run.

    Args:
        request: What is metered.
        settings: The data folder and the site's factors.
        zero_s: When the metered work began, on the monotonic clock.
        listener: The socket for events.

    Raises:
        OSError: If the run's folder cannot be written.
    """

    def __init__(
        self,
        request: Request,
        settings: LocalSettings,
        *,
        zero_s: float,
        listener: Listener,
    ) -> None:
        self.request = request
        self.folder = settings.folder / request.folder_name
        self._settings = settings
        self._journal = Journal.create(self.folder, request.attempt_id)
        noted.take_room(self.folder)
        self._listener = listener
        self.socket = self._listener.path
        self._log = AttemptLog(self._journal, self._now_s)
        self._job = None if request.job is None else JobOnNode.of(request.job)
        held = visible_devices(request.gpus, None if self._job is None else self._job.task)
        self._devices, self._remark, unseen = held
        if self._job is not None:
            self._job.holds(self._devices.host_ratio, unseen)
        marks = [mark.encode() for mark in request.marks or [f"{ENV_VAR}={self.socket}"]]
        early_s = EARLY_S if request.marks else 0.0
        self._meters = JobMeters(self._devices, marks=marks, model=thread_model, early_s=early_s)
        self._meter = Meter(self._meters.sources, emit=self._on_readings, zero_s=zero_s)
        self._is_open = False
        self._stages = StageBook()
        self._events: Events | None = None
        self._opinion: Any = None

    def open(self, pid: int) -> None:
        """Opens the meters and begins the journal.

        Args:
            pid: The process that is metered.
        """
        self._meters.adopt(pid)
        opened = self._meter.open()
        self._is_open = True
        components = self._meters.share(opened, self._meter.now_s())
        self._log.append(
            "start",
            format=JOURNAL_FORMAT,
            run_id=self.request.run_id,
            attempt_id=self.request.attempt_id,
            attempt_number=1,
            worker=WORKER,
            node_name=node_name(),
            devices=list(self._devices.described),
            components=[component.as_dict() for component in components],
            shares_overlaps=True,
            clock=clock_of_meter(self._now_s()),
            run=self.request.as_record(self._settings.project),
            factors=self._settings.site.as_record(),
            socket=str(self.socket),
        )
        self._open_stage_of_run()
        for remark in (*self._settings.unused, *filter(None, (self._remark,))):
            self._log.text(remark, "pricetag")
        if self.request.second_opinion:
            from pricetag.metering.second_opinion import SecondOpinion

            self._opinion = SecondOpinion(self._devices.uuids)
            self._opinion.start()

    def _open_stage_of_run(self) -> None:
        """Opens the stage that spans the run: what is reported outside other stages is its."""
        stage = self._stages.open(
            parent_key=None,
            recipe_index=None,
            kind=KINDS[self.request.kind],
            name=self.request.name,
            t_s=0.0,
        )
        self._log.append("stage_start", t_s=0.0, **stage.as_record())

    def ended(self, pid: int, cpu_s: float) -> None:
        """Counts the CPU time of the program, which has ended."""
        self._meters.ended(pid, cpu_s)

    async def serve(self, environment: Mapping[str, Any]) -> None:
        """Takes the events of the program, from now on.

        Args:
            environment: Software of the program, for the record.
        """
        if self._job is not None:
            environment = {**environment, "scheduler": self._job.record(NOT_YET)}
        self._log.append("environment", **environment)
        self._events = Events(self._log, self._stages, self._meter, self._now_s, self._listener)
        await self._events.server.start()

    def edge(self) -> float:
        """Reads the meters now; returns the time of the reading."""
        readings = self._meter.edge()
        return readings[0].t_s if readings else self._now_s()

    async def close(
        self, status: str, reason: Mapping[str, Any] | None, end_s: float
    ) -> dict[str, Any]:
        """Ends the attempt, settles it and stores the result; returns the document.

        After an error, :meth:`give_up` ends the attempt as far as it can.

        Args:
            status: How the attempt ended.
            reason: ``{code, message}``, or None.
            end_s: When the program ended, by :meth:`edge`.

        Raises:
            OSError: If the result cannot be written; the journal is kept.
            JournalError: If the journal cannot be written.
            ValueError: If a factor is invalid; the journal is kept.
        """
        if self._events is not None:
            await self._events.finish()
            end_s = max(end_s, self._events.last_edge_s)
        self._meter.close()
        self._meters.close()
        if self._opinion is not None:
            self._log.append("second_opinion", t_s=end_s, **self._opinion.stop())
        if self._job is not None:
            scheduler = self._job.record(self._job.neighbors())
            self._log.append("environment", scheduler=scheduler)
        for key in self._stages.open_keys():
            self._log.append("stage_end", t_s=end_s, key=key, status=status)
        self._log.append("end", t_s=end_s, status=status, reason=reason)
        return self._settle()

    def give_up(
        self, status: str, reason: Mapping[str, Any] | None, problem: str
    ) -> dict[str, Any] | None:
        """Ends the attempt of a meter that failed with how the program ended.

        If that cannot be written either, it is noted for the next command that settles the run.

        Args:
            status: How the program ended.
            reason: ``{code, message}`` of its end, or None.
            problem: Why the meter failed.

        Returns:
            The document; None if the run cannot be settled now.
        """
        with suppress(OSError, RuntimeError):
            self.edge()
        with suppress(OSError, RuntimeError):
            self._meter.close()
            self._meters.close()
        if self._journal.count == 0:  # nothing was measured
            self.release()
            return None
        status, why = noted.of_failed_meter(status, reason, problem)
        try:
            end_if_open(self._journal, powercap_root(), saw_end=True, status=status, reason=why)
            return self._settle()
        except (OSError, JournalError, ValueError):
            with suppress(OSError):
                noted.note(self.folder, status, why)
            self.release()
            return None

    def _settle(self) -> dict[str, Any]:
        self._journal.sync()
        document = write_result(self.folder, self._journal)
        self.release()
        return document

    def release(self) -> None:
        """Releases the journal and the socket."""
        self._listener.close()
        with suppress(JournalError):  # what waits in memory is lost
            self._journal.close()

    def _now_s(self) -> float:
        return self._meter.now_s() if self._is_open else 0.0

    def _on_readings(self, readings: list[Reading]) -> None:
        self._meters.note(readings)
        self._log.readings(readings)


class Events:
    """The program's stages and figures; made after the program was started, since it is slow.

    Args:
        log: The attempt's log.
        stages: Its stages, of which that of the whole run is open.
        meter: Read at each stage edge.
        now_s: Seconds since the meter opened.
        listener: The socket that listens.

    Attributes:
        last_edge_s: Time of the last stage edge.
    """

    def __init__(
        self,
        log: AttemptLog,
        stages: StageBook,
        meter: Meter,
        now_s: Callable[[], float],
        listener: Listener,
    ) -> None:
        import asyncio

        from pricetag.attempt.event_desk import EventDesk
        from pricetag.attempt.event_server import EventServer
        from pricetag.attempt.outcome import Observed
        from pricetag.attempt.progress import ProgressBoard

        async def edge() -> float:
            readings = await asyncio.to_thread(meter.edge)
            self.last_edge_s = readings[0].t_s if readings else now_s()
            return self.last_edge_s

        self.last_edge_s = 0.0
        self._desk = EventDesk(log, stages, ProgressBoard(), Observed(), edge=edge, now_s=now_s)
        of_run = stages.innermost()
        self.server = EventServer(
            listener.path,
            self._desk.take,
            self._desk.reject,
            self._desk.leave,
            listener.listening,
            around=None if of_run is None else of_run.key,
        )

    async def finish(self) -> None:
        """Takes the last events."""
        await self.server.drain(DRAIN_S)
        await self.server.close()
        self._desk.finish()


def visible_devices(gpus: str, task: SlurmTask | None = None) -> tuple[Devices, str | None, int]:
    """The accelerators that the program may see, and why they cannot be metered, if so.

    The host is shared by the cores that the program may use: all of them, unless a scheduler
    has given it some. In a job, both are those of the job on this node.

    Args:
        gpus: ``visible`` or ``none``.
        task: The task of a job that this process is.

    Returns:
        The devices, the reason, and how many more accelerators the job has.
    """
    cores = os.cpu_count() or 1
    ratio = min(len(os.sched_getaffinity(0)) / cores, 1.0)
    if task is not None:
        ratio = host_ratio(task, ratio, cores)
    if gpus == "none":
        return Devices((), host_ratio=ratio), None, 0
    from pricetag.attempt.meters import describe
    from pricetag.metering.devices import VARIABLES, list_accelerators, visible_accelerators
    from pricetag.metering.mig import resolve_usable, usable_devices
    from pricetag.metering.nvml_errors import LibraryUnavailableError

    try:
        accelerators = list_accelerators()
    except LibraryUnavailableError as error:
        unseen = 0 if task is None else task.gpus or 0
        return Devices((), host_ratio=ratio), f"accelerators are not metered: {error}", unseen
    visible = visible_accelerators(os.environ, accelerators)
    unseen = 0
    if task is not None:
        visible, unseen = accelerators_of_job(
            task,
            [accelerator.uuid for accelerator in accelerators],
            visible,
            is_limited=any(name in os.environ for name in VARIABLES),
            is_whole_node=ratio >= 1.0,
        )
    devices = resolve_usable(visible, usable_devices(accelerators)) if visible else []
    slices = tuple(device.slice for device in devices if device.slice is not None)
    uuids = tuple(device.uuid for device in devices)
    return Devices(uuids, describe(devices), slices, host_ratio=ratio), None, unseen
