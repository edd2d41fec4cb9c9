"""The worker's side of the nursery: forks jobs from a process with everything imported."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pricetag.metering.rapl_zones import powercap_root
from workers.attempt.job_variables import HUB_SECRETS
from workers.attempt.launch import Launch, base_environment
from workers.attempt.processes import ROOT, ChildProcess, Exit, FreshInterpreter, Job, pipe_reader

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 1 << 16
START_TIMEOUT_S = 300.0
"""Seconds after which a nursery that has not forked counts as hung; its imports take a few."""
CLOSE_TIMEOUT_S = 10.0
KILLED = Exit(-int(signal.SIGKILL), None)


Born = tuple[int, "asyncio.Future[Exit]"]
"""A job's pid, and the future of its exit code."""


class Nursery:
    """Starts jobs by forking, or in a fresh interpreter if they must not be forked.

    Jobs with accelerators get a fresh interpreter, which the nursery starts: a CUDA context does
    not survive a fork, and an import may open one. After a job was killed, the nursery ends
    its remaining processes.

    Args:
        allow_hub: Whether jobs may load by hub name; fixed before the first import.
        job_env: Additional variables of the worker that its jobs see.
        journal_dir: Folder of the journals that the nursery ends if the worker dies.
    """

    def __init__(
        self, *, allow_hub: bool, job_env: Sequence[str] = (), journal_dir: Path | None = None
    ) -> None:
        self._allow_hub = allow_hub
        self._journal_dir = journal_dir
        self._job_env = job_env
        self._fresh = FreshInterpreter()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ids = itertools.count()
        self._starting: dict[int, asyncio.Future[Born]] = {}
        self._exits: dict[int, asyncio.Future[Exit]] = {}

    async def start(self, launch: Launch) -> ChildProcess:
        """Starts one job."""
        try:
            return await self._fork(launch)
        except (ConnectionError, TimeoutError) as error:
            logger.warning(
                "the process that forks jobs failed (%r); starting a fresh interpreter", error
            )
            self.close()
        except OSError as error:
            # The nursery and its jobs live on: only this job could not be handed over.
            logger.warning(
                "the process that forks jobs is unreachable (%s); starting a fresh interpreter",
                error,
            )
        return await self._fresh.start(launch)

    def close(self) -> None:
        """Ends the nursery and every job that it started."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(CLOSE_TIMEOUT_S)  # the nursery ends its jobs first
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._abandon()

    async def _fork(self, launch: Launch) -> Job:
        control = self._control or self._open()
        number = next(self._ids)
        request = {
            "id": number,
            "job_file": launch.argv[-1],
            "trains": launch.trains,
            "environment": launch.environment,
            "argv": None if launch.forkable else launch.argv,
        }
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        started: asyncio.Future[Born] = asyncio.get_running_loop().create_future()
        self._starting[number] = started
        try:
            socket.send_fds(control, [json.dumps(request).encode()], [out_write, err_write])
            async with asyncio.timeout(START_TIMEOUT_S):
                pid, exited = await started
        except OSError:
            os.close(out_read)
            os.close(err_read)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
            self._starting.pop(number, None)
        stdout = await pipe_reader(os.fdopen(out_read, "rb"))
        stderr = await pipe_reader(os.fdopen(err_read, "rb"))
        return Job(pid, stdout, stderr, exited)

    def _open(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        hub = "hub" if self._allow_hub else "local"
        # The environment of a job without the hub's token: libraries read it on import, and
        # a job can read that of its parent.
        variables = base_environment(os.environ, self._job_env, trains=True)
        variables = {name: v for name, v in variables.items() if name not in HUB_SECRETS}
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "workers.job.nursery_process"),
                    *(str(theirs.fileno()), hub, str(powercap_root())),
                    *([] if self._journal_dir is None else [str(self._journal_dir)]),
                ],
                cwd=ROOT,
                env=variables,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._on_readable, ours)
        return ours

    def _on_readable(self, control: socket.socket) -> None:
        try:
            message = control.recv(MAX_MESSAGE_BYTES)
        except OSError:
            message = b""
        if not message:
            logger.warning("the process that forks jobs (nursery) ended, and so did its jobs")
            self.close()
            return
        reply: dict[str, Any] = json.loads(message)
        if "pid" in reply:
            exited = asyncio.get_running_loop().create_future()
            self._exits[reply["pid"]] = exited
            started = self._starting.get(reply["id"])
            if started is not None and not started.done():
                started.set_result((reply["pid"], exited))
        else:
            self._exits.pop(reply["exited"]).set_result(Exit(reply["code"], reply["cpu_s"]))

    def _abandon(self) -> None:
        """Handle the nursery's end: the kernel killed its jobs, and pending starts fail."""
        for started in self._starting.values():
            if not started.done():
                started.set_exception(ConnectionError("the nursery is gone"))
        for exited in self._exits.values():
            if not exited.done():
                exited.set_result(KILLED)
        self._exits.clear()
