"""A job's process, forked or in a fresh interpreter."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from workers.attempt.launch import Launch

ROOT = Path(__file__).resolve().parents[2]


class Exit(NamedTuple):
    """How a process ended.

    Attributes:
        code: Its exit code; negative when a signal ended it.
        cpu_s: CPU seconds of it and of the children it waited for; None if unknown.
    """

    code: int
    cpu_s: float | None


class ChildProcess(Protocol):
    """A process that leads its own group."""

    @property
    def pid(self) -> int: ...
    @property
    def stdout(self) -> asyncio.StreamReader | None: ...
    @property
    def stderr(self) -> asyncio.StreamReader | None: ...
    async def wait(self) -> Exit:
        """Waits for the process to end."""
        ...


class Starter(Protocol):
    """Starts children."""

    async def start(self, launch: Launch) -> ChildProcess: ...


@dataclass(frozen=True)
class Job:
    """A started job; its parent process reports its exit."""

    pid: int
    stdout: asyncio.StreamReader | None
    stderr: asyncio.StreamReader | None
    exited: asyncio.Future[Exit] = field(repr=False)

    async def wait(self) -> Exit:
        return await asyncio.shield(self.exited)


class FreshInterpreter:
    """Starts each child in its own interpreter: slow, but without inherited state.

    A thread waits for the child, not asyncio, which would wait for the pipes as well, although
    a surviving process may hold them open forever, and would not report the CPU time.
    """

    async def start(self, launch: Launch) -> ChildProcess:
        loop = asyncio.get_running_loop()
        process = subprocess.Popen(
            launch.argv,
            bufsize=0,
            cwd=ROOT,
            env=launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        exited: asyncio.Future[Exit] = loop.create_future()
        threading.Thread(target=_reap, args=(process, loop, exited), daemon=True).start()
        stdout, stderr = await pipe_reader(process.stdout), await pipe_reader(process.stderr)
        return Job(process.pid, stdout, stderr, exited)


async def pipe_reader(pipe: IO[bytes]) -> asyncio.StreamReader:
    """A reader of a pipe, which is closed at its end."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader


def exit_of(status: int, usage: resource.struct_rusage) -> Exit:
    """The exit that ``os.wait4`` returned."""
    return Exit(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime)


def _reap(
    process: subprocess.Popen[bytes],
    loop: asyncio.AbstractEventLoop,
    exited: asyncio.Future[Exit],
) -> None:
    _, status, usage = os.wait4(process.pid, 0)
    ended = exit_of(status, usage)
    process.returncode = ended.code  # so that subprocess does not wait for it again
    with contextlib.suppress(RuntimeError):  # the loop ended before the job
        loop.call_soon_threadsafe(exited.set_result, ended)
